package demo

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Counts is what has happened since the process started, all streams together. Lag is as it is now.
type Counts struct {
	At time.Duration // since the process started

	Requests, Retries, Pages   int64
	Fetched, Unchanged, Passes int64 // Fetched: records written to the raw topic
	IngestLetters              int64
	LimitWait                  time.Duration // spent waiting for the pipeline's own rate limit

	Processed, Rows, Filtered int64 // Processed: records read; Rows: rows sent
	ProcessorLetters          int64
	RawLag                    int64 // records that the processor has not committed; -1: not known

	Sunk, Upserts, Deletes, Stale int64 // Sunk: records read
	SinkLetters                   int64
	ProcessedLag                  int64 // records that the sink has not committed; -1: not known
}

// Letters is the number of dead letters of all stages.
func (c Counts) Letters() int64 { return c.IngestLetters + c.ProcessorLetters + c.SinkLetters }

// Read takes all but At and the lags from the metrics of the stages. A metric that is not there yet is 0.
func Read(g prometheus.Gatherer) (Counts, error) {
	families, err := g.Gather()
	if err != nil {
		return Counts{}, fmt.Errorf("gather metrics: %w", err)
	}
	sums := make(map[string]float64, len(families))
	for _, f := range families {
		for _, m := range f.GetMetric() {
			sums[f.GetName()] += value(m)
		}
	}
	n := func(name string) int64 { return int64(sums["millrace_"+name]) }
	return Counts{
		Requests: n("ingest_requests_total"), Retries: n("ingest_retries_total"), Pages: n("ingest_pages_total"),
		Fetched: n("ingest_records_total"), Unchanged: n("ingest_unchanged_records_total"), Passes: n("ingest_passes_total"),
		IngestLetters: n("ingest_dead_letters_total"),
		LimitWait:     time.Duration(sums["millrace_ingest_rate_limit_wait_seconds_total"] * float64(time.Second)),
		Processed:     n("processor_records_total"), Rows: n("processor_rows_total"), Filtered: n("processor_filtered_total"),
		ProcessorLetters: n("processor_dead_letters_total"), RawLag: -1,
		Sunk: n("sink_records_total"), Upserts: n("sink_rows_total"), Deletes: n("sink_deletes_total"), Stale: n("sink_superseded_total"),
		SinkLetters: n("sink_dead_letters_total"), ProcessedLag: -1,
	}, nil
}

// value is that of a counter or gauge, the only kinds that are read.
func value(m *dto.Metric) float64 {
	if c := m.GetCounter(); c != nil {
		return c.GetValue()
	}
	return m.GetGauge().GetValue()
}

// Rates are records a second of each stage.
type Rates struct{ Ingest, Processor, Sink float64 }

// Meter turns counts into rates over the last second or two, so that they neither jump nor lag behind.
// It must not be used concurrently.
type Meter struct{ seen []Counts }

const meterWindow = 1500 * time.Millisecond

// Rates takes the next counts and returns the rates up to them.
func (m *Meter) Rates(now Counts) Rates {
	m.seen = append(m.seen, now)
	for len(m.seen) > 2 && now.At-m.seen[1].At >= meterWindow {
		m.seen = m.seen[1:]
	}
	first := m.seen[0]
	seconds := (now.At - first.At).Seconds()
	if seconds <= 0 {
		return Rates{}
	}
	per := func(now, then int64) float64 { return float64(now-then) / seconds }
	return Rates{per(now.Fetched, first.Fetched), per(now.Processed, first.Processed), per(now.Sunk, first.Sunk)}
}
