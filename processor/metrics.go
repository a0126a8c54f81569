package processor

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics of the stage. Records are counted when their transaction has been committed, so that what is
// aborted and done again counts once.
type metrics struct {
	commits  prometheus.Counter
	aborts   prometheus.Counter
	duration prometheus.Histogram

	records, rows, filtered, letters *prometheus.CounterVec

	generation, epoch *prometheus.GaugeVec // by stream
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "millrace_processor_" + name, Help: help})
	}
	byStream := func(name, help string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: "millrace_processor_" + name, Help: help}, []string{"stream"})
	}
	return &metrics{
		commits: counter("commits_total", "Kafka transactions committed."),
		aborts:  counter("aborts_total", "Kafka transactions aborted or of unknown outcome; their records are processed again."),
		duration: f.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_processor_commit_duration_seconds", Help: "Time from the last record of a transaction to its end.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}),
		records:  byStream("records_total", "Raw records whose outcome is committed."),
		rows:     byStream("rows_total", "Records with a row."),
		filtered: byStream("filtered_total", "Records that a filter refused."),
		letters:  byStream("dead_letters_total", "Records sent to the dead-letter topic."),
		generation: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "millrace_processor_generation", Help: "The generation by which raw records are processed.",
		}, []string{"stream"}),
		epoch: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "millrace_processor_epoch", Help: "The epoch of the raw topic: how often it was recreated.",
		}, []string{"stream"}),
	}
}

// counts is what a transaction did for one stream.
type counts struct {
	records, rows, filtered, letters int
	newest                           time.Time // timestamp of the newest record
}

// counters are a stream's own, resolved once.
type counters struct{ records, rows, filtered, letters prometheus.Counter }

func (m *metrics) of(stream string) counters {
	return counters{
		m.records.WithLabelValues(stream), m.rows.WithLabelValues(stream),
		m.filtered.WithLabelValues(stream), m.letters.WithLabelValues(stream),
	}
}

func (c counters) count(n counts) {
	c.records.Add(float64(n.records))
	c.rows.Add(float64(n.rows))
	c.filtered.Add(float64(n.filtered))
	c.letters.Add(float64(n.letters))
}
