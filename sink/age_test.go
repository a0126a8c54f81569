package sink

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// TestMarksAgeWhereRawRecordsAreNotProcessed, because positions were declared behind them: the group has committed
// nothing then.
func TestMarksAgeWhereRawRecordsAreNotProcessed(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	s := w.start("one", nil).sink
	db := w.db()
	w.caughtUp(db, 2*time.Minute)
	raw := topics.Raw("p", "s")
	w.send(&kgo.Record{Topic: raw, Partition: 0, Key: []byte("key-1"), Value: []byte("{}")})
	if _, err := control.Change(t.Context(), s.controlConfig(), "s", func(of *control.Stream) error {
		of.Run = control.Run{Number: of.Run.Number + 1, From: map[int32]int64{0: 1}, Why: "the topics were given more partitions"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	goals := map[string]*goal{}
	testkit.Eventually(t, 2*time.Minute, func() error { // the sink has to hear of it
		if err := s.noteCaughtUp(t.Context(), goals); err != nil {
			return err
		}
		var n int
		if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM millrace_caught_up").Scan(&n); err != nil {
			return err
		}
		if n != 1 {
			return fmt.Errorf("%d hours, want 1", n)
		}
		return nil
	})
}
