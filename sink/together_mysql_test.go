//go:build integration

package sink

import (
	"fmt"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/millrace-io/millrace/internal/testkit"
)

// TestPartitionsChangeWriters: after many records two connections write, after few one does, again and again; every row is
// that of its newest record, and no batch comes before one that it follows.
func TestPartitionsChangeWriters(t *testing.T) {
	w := newWorld(t, onMySQL(t))
	one := w.start("one", nil)
	db := w.db()
	w.produce(1)
	w.caughtUp(db, time.Minute)
	fenced := func() float64 {
		var m dto.Metric
		if err := one.sink.metrics.fenced.Write(&m); err != nil {
			t.Fatal(err)
		}
		return m.GetCounter().GetValue()
	}
	before := fenced()
	writers := func(want, records int) {
		t.Helper()
		testkit.Eventually(t, time.Minute, func() error {
			w.produce(records)
			var n int
			if err := db.QueryRow("SELECT COUNT(DISTINCT connection_id) FROM millrace_offsets").Scan(&n); err != nil || n != want {
				return fmt.Errorf("%d connections write, want %d: %w", n, want, err)
			}
			return nil
		})
	}
	for range 3 {
		writers(2, 5000)
		writers(1, 30)
	}
	w.caughtUp(db, time.Minute)
	if n := fenced() - before; n != 0 {
		t.Errorf("%v batches were not where they begin", n)
	}
}
