package ingest

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/ingest/fetch"
)

type metrics struct {
	requests    *prometheus.CounterVec
	retries     *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	pages       *prometheus.CounterVec
	records     *prometheus.CounterVec
	unchanged   *prometheus.CounterVec
	deadLetters *prometheus.CounterVec
	rateWait    *prometheus.CounterVec
	passes      *prometheus.CounterVec
	fenced      prometheus.Counter
	commits     prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		opts := prometheus.CounterOpts{Name: "millrace_ingest_" + name, Help: help}
		return prometheus.NewCounterVec(opts, append([]string{"stream"}, labels...))
	}
	m := &metrics{
		requests:    counter("requests_total", "HTTP requests, by status; 0: no answer.", "code"),
		retries:     counter("retries_total", "HTTP requests that are made again."),
		pages:       counter("pages_total", "Pages committed."),
		records:     counter("records_total", "Records written to the raw topic."),
		unchanged:   counter("unchanged_records_total", "Records fetched again that had not changed since they were written."),
		deadLetters: counter("dead_letters_total", "Records without a key, sent to the dead-letter topic."),
		rateWait: counter("rate_limit_wait_seconds_total",
			"Time that requests waited for the rate limit or for a pause that the API asked for."),
		passes: counter("passes_total", "Passes ended."),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_ingest_request_duration_seconds", Help: "From a request to the last byte of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 14),
		}, []string{"stream"}),
		fenced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_ingest_fenced_total", Help: "Times that another process had taken over what this one was working on.",
		}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_ingest_commit_duration_seconds", Help: "From the last record of a transaction to its commit.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.retries, m.duration, m.pages, m.records, m.unchanged,
		m.deadLetters, m.rateWait, m.passes, m.fenced, m.commits} {
		if err := r.Register(c); err != nil {
			return nil, errors.Join(errors.New("ingest: register metrics"), err)
		}
	}
	return m, nil
}

// streamMetrics is the metrics of one stream.
type streamMetrics struct {
	pages, records, unchanged, deadLetters, passes prometheus.Counter
}

func (m *metrics) stream(name string) streamMetrics {
	return streamMetrics{
		pages: m.pages.WithLabelValues(name), records: m.records.WithLabelValues(name),
		unchanged:   m.unchanged.WithLabelValues(name),
		deadLetters: m.deadLetters.WithLabelValues(name), passes: m.passes.WithLabelValues(name),
	}
}

// observer counts the requests of a stream.
func (m *metrics) observer(name string) fetch.Observer {
	duration := m.duration.WithLabelValues(name)
	retries, wait := m.retries.WithLabelValues(name), m.rateWait.WithLabelValues(name)
	return fetch.Observer{
		Request: func(status int, took time.Duration) {
			m.requests.WithLabelValues(name, strconv.Itoa(status)).Inc()
			duration.Observe(took.Seconds())
		},
		Retry:  func(*fetch.Error) { retries.Inc() },
		Waited: func(d time.Duration) { wait.Add(d.Seconds()) },
	}
}
