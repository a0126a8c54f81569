package sink

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics/control"
)

// wider is the stream with one more column, m.
func (w *world) wider() pipeline.Stream {
	st := w.pipeline.Streams[0]
	st.Sink.Columns = append(slices.Clone(st.Sink.Columns), pipeline.ColumnType{Name: "m", Type: "int"})
	return st
}

// live registers the logic of a stream, and has it live.
func (w *world) live(number uint16, st pipeline.Stream) {
	w.t.Helper()
	logic, key := st.Logic()
	w.decide(func(s *control.Stream) {
		s.Generations = append(s.Generations, control.Generation{
			Number: number, Kind: control.Other, Logic: logic, Key: key, Definition: st.Definition(),
		})
		s.Live = number
	})
	w.generation = number
}

// both is a record with values of n and m.
func (w *world) both(key string, n, m int) *kgo.Record {
	r := w.record(key, n)
	r.Value = fmt.Appendf(nil, `{"id":%q,"n":%d,"m":%d}`, key, n, m)
	return r
}

// hasM waits until a row has the value.
func (w *world) hasM(key string, want int) {
	w.t.Helper()
	db := w.db()
	testkit.Eventually(w.t, 2*time.Minute, func() error {
		var got int
		if err := db.QueryRow("SELECT COALESCE(m, -1) FROM things WHERE id = ?", key).Scan(&got); err != nil || got != want {
			return errors.Join(err, fmt.Errorf("m of %s is %d, want %d", key, got, want))
		}
		return nil
	})
}

// TestColumnsOfTheLiveLogic: a sink whose file is older writes the columns of the logic that is live, from its first
// record on.
func TestColumnsOfTheLiveLogic(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	w.live(1, w.pipeline.Streams[0])
	w.send(w.record("a", 1))
	r := w.start("one", nil)
	db := w.db()
	w.caughtUp(db, 2*time.Minute)
	w.live(2, w.wider())
	w.send(w.both("b", 2, 20), w.both("c", 3, 30))
	r.waits(t, "no column m: ALTER TABLE `things` ADD COLUMN `m` int")
	if _, err := db.Exec("ALTER TABLE things ADD COLUMN m int"); err != nil {
		t.Fatal(err)
	}
	w.hasM("b", 20)
	w.hasM("c", 30)
	w.caughtUp(db, 2*time.Minute)
	r.ready(t)
	r.degraded(t, "this file has an older logic than generation 2, which is live")
	r.degraded(t, "`millrace replay FILE s` makes the file's logic live again")
	r.drain(t, 2*time.Minute)
	w.send(w.both("d", 4, 40))
	r = w.start("two", nil) // which reads the columns before it writes
	w.hasM("d", 40)
	w.live(3, w.pipeline.Streams[0])
	w.send(w.record("e", 5))
	w.caughtUp(db, 2*time.Minute)
	r.notDegraded(t, "older logic than generation 3, which")
	r.notDegraded(t, "this file")
}

// TestColumnsOfAFileThatIsNewer: it waits for nothing, and writes its own columns once they are live.
func TestColumnsOfAFileThatIsNewer(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	old := w.pipeline.Streams[0]
	w.live(1, old)
	w.send(w.record("a", 1))
	w.pipeline.Streams[0] = w.wider()
	r := w.start("one", nil)
	db := w.db()
	w.caughtUp(db, 2*time.Minute)
	if _, err := db.Exec("SELECT m FROM things"); err == nil {
		t.Fatal("the table has the columns of logic that is not live")
	}
	if _, err := db.Exec("ALTER TABLE things ADD COLUMN m int"); err != nil {
		t.Fatal(err)
	}
	w.live(2, w.pipeline.Streams[0])
	w.send(w.both("b", 2, 20))
	w.hasM("b", 20)
	r.ready(t)
	if n := strings.Count(r.log.String(), "the file's logic is not live"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// TestLiveLogicOfAnotherVersion: what cannot be read is not written by.
func TestLiveLogicOfAnotherVersion(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	w.live(1, w.pipeline.Streams[0])
	r := w.start("one", nil)
	r.ready(t)
	w.decide(func(s *control.Stream) {
		s.Generations = append(s.Generations, control.Generation{Number: 2, Kind: control.Other, Logic: "other", Definition: `{"Shadow":1}`})
		s.Live = 2
	})
	r.waits(t, "stream s: stream s: the logic that is live is not of this version of millrace")
	w.live(3, w.pipeline.Streams[0])
	w.send(w.record("a", 1))
	w.caughtUp(w.db(), 2*time.Minute)
	r.ready(t)
}
