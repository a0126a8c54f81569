package ingest

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/millrace-io/millrace/ingest/fetch"
)

// metrics of the stage. Records are counted when their transaction has been committed.
type metrics struct {
	requests    *prometheus.CounterVec
	retries     *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	pages       *prometheus.CounterVec
	records     *prometheus.CounterVec
	unchanged   *prometheus.CounterVec
	deadLetters *prometheus.CounterVec
	deleted     *prometheus.CounterVec
	rateWait    *prometheus.CounterVec
	passes      *prometheus.CounterVec
	reconnects  *prometheus.CounterVec
	windows     *prometheus.CounterVec
	waiting     *prometheus.GaugeVec
	children    *prometheus.GaugeVec
	passedOver  *prometheus.CounterVec
	fenced      prometheus.Counter
	commits     prometheus.Histogram

	deliveries        *prometheus.CounterVec // by path and status
	deliverySeconds   *prometheus.HistogramVec
	refusedDeliveries *prometheus.CounterVec // by path and why
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		opts := prometheus.CounterOpts{Name: "millrace_ingest_" + name, Help: help}
		return f.NewCounterVec(opts, append([]string{"stream"}, labels...))
	}
	return &metrics{
		requests:    counter("requests_total", "HTTP requests, by status; 0: no answer.", "code"),
		retries:     counter("retries_total", "HTTP requests that are made again."),
		pages:       counter("pages_total", "Pages committed."),
		records:     counter("records_total", "Records written to the raw topic."),
		unchanged:   counter("unchanged_records_total", "Records fetched again that had not changed since they were written."),
		deadLetters: counter("dead_letters_total", "Records sent to the dead-letter topic."),
		deleted:     counter("deleted_records_total", "Tombstones written to the raw topic."),
		rateWait: counter("rate_limit_wait_seconds_total",
			"Time that requests waited for the rate limit or for a pause that the API asked for."),
		passes:     counter("passes_total", "Passes ended."),
		reconnects: counter("events_reconnects_total", "Connections to a stream of Server-Sent Events that failed, or brought nothing."),
		windows:    counter("windows_total", "Windows of a back-fill that were fetched."),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_ingest_request_duration_seconds", Help: "Time from a request to the last byte of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 14),
		}, []string{"stream"}),
		waiting: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "millrace_ingest_waiting", Help: "Slices that wait for their API: the log and /readyz tell what for.",
		}, []string{"stream"}),
		children: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "millrace_ingest_children", Help: "Slices of a child stream that this process has, by state: known, all of them; " +
				"due, to be fetched; failing, could not be fetched and are tried again.",
		}, []string{"stream", "state"}),
		passedOver: counter("children_passed_over_total", "Slices of a child stream of which the API has nothing, as by 404."),
		fenced: f.NewCounter(prometheus.CounterOpts{
			Name: "millrace_ingest_fenced_total", Help: "Times that another process had taken over what this one was working on.",
		}),
		commits: f.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_ingest_commit_duration_seconds", Help: "Time from the last record of a transaction to its commit.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}),
		deliveries: f.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_ingest_webhook_deliveries_total", Help: "Webhook deliveries, by path and the status that they were answered with.",
		}, []string{"path", "code"}),
		refusedDeliveries: f.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_ingest_webhook_refused_total", Help: "Webhook deliveries that were not taken, by path and why.",
		}, []string{"path", "why"}),
		deliverySeconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_ingest_webhook_duration_seconds", Help: "Time from a webhook delivery to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}, []string{"path"}),
	}
}

// streamMetrics is the metrics of one stream.
type streamMetrics struct {
	pages, records, unchanged, deadLetters, deleted, passes, reconnects, windows prometheus.Counter

	waiting prometheus.Gauge
}

func (m *metrics) stream(name string) streamMetrics {
	return streamMetrics{
		pages: m.pages.WithLabelValues(name), records: m.records.WithLabelValues(name),
		unchanged:   m.unchanged.WithLabelValues(name),
		deadLetters: m.deadLetters.WithLabelValues(name), passes: m.passes.WithLabelValues(name),
		deleted: m.deleted.WithLabelValues(name), waiting: m.waiting.WithLabelValues(name),
		reconnects: m.reconnects.WithLabelValues(name),
		windows:    m.windows.WithLabelValues(name),
	}
}

// kidsMetrics is the metrics of the children of a stream.
type kidsMetrics struct {
	known, due, failing prometheus.Gauge
	passedOver          prometheus.Counter
}

func (m *metrics) kids(stream string) kidsMetrics {
	return kidsMetrics{
		known: m.children.WithLabelValues(stream, "known"), due: m.children.WithLabelValues(stream, "due"),
		failing: m.children.WithLabelValues(stream, "failing"), passedOver: m.passedOver.WithLabelValues(stream),
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
		Rests:  func(time.Duration) {},
		Waited: func(d time.Duration) { wait.Add(d.Seconds()) },
	}
}
