package demo_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/internal/demo"
)

func TestReadSumsOverLabels(t *testing.T) {
	reg := prometheus.NewRegistry()
	records := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_ingest_records_total", Help: "Records."}, []string{"stream"})
	waits := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_ingest_rate_limit_wait_seconds_total", Help: "Waits."}, []string{"stream"})
	reg.MustRegister(records, waits)
	records.WithLabelValues("a").Add(3)
	records.WithLabelValues("b").Add(4)
	waits.WithLabelValues("a").Add(1.5)

	got, err := demo.Read(reg)
	if err != nil {
		t.Fatal(err)
	}
	want := demo.Counts{Fetched: 7, LimitWait: 1500 * time.Millisecond, RawLag: -1, ProcessedLag: -1}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestMeter(t *testing.T) {
	var m demo.Meter
	at := func(ms int, records int64) demo.Rates {
		return m.Rates(demo.Counts{At: time.Duration(ms) * time.Millisecond, Fetched: records})
	}
	if r := at(1000, 50); r.Ingest != 0 {
		t.Errorf("rate of one moment: %v", r)
	}
	if r := at(1500, 100); r.Ingest != 100 {
		t.Errorf("%v, want 100 a second", r)
	}
	for ms := 1600; ms <= 6000; ms += 100 {
		at(ms, 100)
	}
	if r := at(6100, 100); r.Ingest != 0 {
		t.Errorf("%v after seconds without a record", r)
	}
}
