package sink

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkit"
)

// TestRefusedRowsAreTold: one line and the counts in health, however many rows the database refuses; the sink stays
// ready.
func TestRefusedRowsAreTold(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	r := w.start("0", nil)
	var batch []*kgo.Record
	for i := range 100 {
		batch = append(batch, w.record(fmt.Sprint("key-", i), "refused"))
	}
	w.send(batch...)
	testkit.Eventually(t, 2*time.Minute, func() error {
		if got := r.health.Degraded()["sink s"]; !strings.HasPrefix(got, "100 records refused, in p.s.dlq; the last: sink.things: ") {
			return fmt.Errorf("health: %q", got)
		}
		return nil
	})
	if waiting := r.health.Waiting(); len(waiting) > 0 {
		t.Errorf("not ready: %v", waiting)
	}
	w.caughtUp(w.db(), 2*time.Minute)
	log := r.log.String()
	if place := "rows_to=" + w.pipeline.DataDir + "/millrace.db"; !strings.Contains(log, place) {
		t.Errorf("the log lacks %s:\n%s", place, log)
	}
	testkit.Eventually(t, 2*time.Minute, testkit.That("a line that it caught up", func() bool {
		return strings.Count(r.log.String(), "caught up: nothing is left to read") == 1
	}))
	if n := strings.Count(log, "records refused"); n != 1 {
		t.Errorf("the log tells %d times of refused records, want once:\n%s", n, log)
	}
	for _, want := range []string{"stream=s", "step=sink.things", "key=key-", "topic=p.s.dlq", `next="millrace dlq list FILE s"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
}
