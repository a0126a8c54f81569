package sink

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics of the stage. Records are counted when their transaction has been committed.
type metrics struct {
	batches, fenced                             prometheus.Counter
	duration                                    prometheus.Histogram
	retries                                     *prometheus.CounterVec
	records, rows, deletes, superseded, letters *prometheus.CounterVec
	fill                                        *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "millrace_sink_" + name, Help: help})
	}
	vec := func(label, name, help string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: "millrace_sink_" + name, Help: help}, []string{label})
	}
	return &metrics{
		batches: counter("batches_total", "Transactions committed."),
		fenced:  counter("fenced_total", "Batches not written because another sink owns a partition of them."),
		duration: f.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_sink_apply_duration_seconds", Help: "Time to write a batch, until its commit.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}),
		retries: vec("reason", "retries_total", "Batches tried again, by the reason."),
		records: vec("stream", "records_total", "Processed records whose outcome is committed."),
		rows:    vec("stream", "rows_total", "Rows sent to the database; it keeps those with a higher version."),
		deletes: vec("stream", "deletes_total", "Rows removed."),
		superseded: vec("stream", "superseded_total",
			"Records not sent, because the batch had a newer one of the same key, or because a mark says that a newer one removed the row."),
		fill: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "millrace_sink_fill_records", Help: "Records of a fill in key order that is under way: read and sorted, and of them written.",
		}, []string{"stream", "state"}),
		letters: vec("stream", "dead_letters_total", "Records sent to the dead-letter topic."),
	}
}

// count counts what the committed batch of j was.
func (m *metrics) count(j *job, r result) {
	m.batches.Inc()
	m.duration.Observe(time.Since(j.began).Seconds())
	for _, move := range j.batch.moves {
		m.records.WithLabelValues(move.claim.table.Stream).Add(float64(len(move.changes)))
	}
	for stream, n := range r.upserts {
		m.rows.WithLabelValues(stream).Add(float64(n))
		m.deletes.WithLabelValues(stream).Add(float64(r.removed[stream]))
		m.superseded.WithLabelValues(stream).Add(float64(r.superseded[stream]))
	}
	for stream, n := range j.sent.count {
		m.letters.WithLabelValues(stream).Add(float64(n))
	}
}
