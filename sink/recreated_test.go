package sink

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// rawKnown has control know the raw topic, as after a processor has run.
func (w *world) rawKnown() {
	w.t.Helper()
	raw, processed := topics.Raw("p", "s"), topics.Processed("p", "s")
	details, err := w.adm.ListTopics(w.t.Context(), raw, processed)
	if err != nil {
		w.t.Fatal(err)
	}
	id, by := details[raw].ID, details[processed].ID
	w.decide(func(s *control.Stream) {
		s.Generations, s.Live = []control.Generation{{Number: 1, Kind: control.First, Logic: "a"}}, 1
		s.Epochs = []control.Epoch{{RawTopicID: hex.EncodeToString(id[:]), ProcessedTopicID: hex.EncodeToString(by[:])}}
	})
}

// processor has a processor's transaction open; it returns what becomes of it.
func (w *world) processor() (commit func() error) {
	w.t.Helper()
	p := testkafka.Client(w.t, w.cluster, kgo.TransactionalID(topics.ProcessorTransactionalIDs("p")+"a.0"))
	if err := p.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	if err := p.ProduceSync(w.t.Context(), &kgo.Record{Topic: topics.DeadLetters("p", "s"), Value: []byte("x")}).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	return func() error { return p.EndTransaction(w.t.Context(), kgo.TryCommit) }
}

// TestProcessedTopicRecreatedDeclaresARun: what the old topic held and was not applied is gone with it. Before the
// table goes over to the new topic, one run is declared, from after what was applied; processors are fenced; and a
// replay under way begins again.
func TestProcessedTopicRecreatedDeclaresARun(t *testing.T) {
	for _, c := range []struct {
		name string
		redo *control.Redo
	}{
		{"no replay", nil},
		{"replay", &control.Redo{Generation: 1, First: 1, State: control.Running, Cut: map[int32]int64{0: 9}, Rate: 7}},
		{"replay that is aborted", &control.Redo{Generation: 1, First: 1, State: control.Ending, Aborted: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, onSQLite(t))
			w.send(w.record("a", 0), w.record("b", 0)) // of offset 0 it is not known whether it was applied
			w.send(w.record("a", 1), w.record("b", 1))
			w.raws(5)
			w.rawKnown()
			w.decide(func(s *control.Stream) { s.Redo = c.redo })
			w.start("one", nil).drainAfter(t, w)
			applied := maps.Clone(w.raw)
			w.send(w.record("a", 2), w.record("b", 2)) // which no sink has applied
			w.remake(topics.Processed("p", "s"), true)
			commit := w.processor()
			one, two := w.start("one", nil), w.start("two", nil)
			one.ready(t)
			two.ready(t)
			told := func() string { return one.log.String() + two.log.String() }
			w.decided(func(s *control.Stream) error {
				if s.Run.Number == 0 {
					return errors.New("no run")
				}
				if d := cmp.Diff(applied, s.Run.From); d != "" || s.Run.Number != 1 || s.Run.ProcessedTopicID == "" {
					return fmt.Errorf("run %+v: %s", s.Run, d)
				}
				want := c.redo
				if want != nil && !want.Aborted {
					want = &control.Redo{Generation: 2, First: 1, State: control.Marking, Rate: 7}
				}
				if d := cmp.Diff(want, s.Redo); d != "" || want != nil && want.Generation == 2 && s.Generation(2) == nil {
					return fmt.Errorf("redo of %+v: %s", s.Generations, d)
				}
				return nil
			})
			w.restartOffsets()
			w.raw = maps.Clone(applied)
			w.send(w.record("a", 2), w.record("b", 2)) // as processors do in that run
			w.caughtUp(w.db(), 2*time.Minute)
			if err := commit(); err == nil {
				t.Error("a processor of the run before has committed")
			}
			if n := strings.Count(told(), "processors continue after what is in the table"); n != 1 {
				t.Errorf("told %d times:\n%s", n, told())
			}
		})
	}
}

// TestARunIsDeclaredOnceForATopic: whoever declared it died before the table went over.
func TestARunIsDeclaredOnceForATopic(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	topic := topics.Processed("p", "s")
	w.send(w.record("a", 1))
	w.raws(1)
	w.rawKnown()
	w.start("one", nil).drainAfter(t, w)
	w.remake(topic, true)
	details, err := w.adm.ListTopics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	id := details[topic].ID
	w.decide(func(s *control.Stream) { s.Run = control.Run{Number: 4, ProcessedTopicID: hex.EncodeToString(id[:])} })
	r := w.start("one", nil)
	r.degraded(t, "was recreated")
	w.decided(func(s *control.Stream) error {
		if s.Run.Number != 4 {
			return fmt.Errorf("run %d, want 4", s.Run.Number)
		}
		return nil
	})
}

// TestNoPositionsWhereControlDoesNotKnowTheRawTopic: all topics were recreated, so what was applied says nothing of
// them.
func TestNoPositionsWhereControlDoesNotKnowTheRawTopic(t *testing.T) {
	w := recreatedWorld(t)
	w.start("one", nil).degraded(t, "was recreated")
	w.decided(func(s *control.Stream) error {
		if s.Run.Number != 1 || len(s.Run.From) > 0 {
			return fmt.Errorf("run %+v, want one from the start", s.Run)
		}
		return nil
	})
}

// TestNoPositionsWhereAllTopicsWereRecreated: control knows the new raw topic only, which holds as many records as were
// applied of the old one. To go on after these would pass over what is in it.
func TestNoPositionsWhereAllTopicsWereRecreated(t *testing.T) {
	w := recreatedWorld(t)
	// that knows no topic of before
	fresh := testkafka.Client(t, w.cluster, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for partition := range w.pipeline.Kafka.Partitions {
		for range w.raw[partition] + 5 {
			if err := fresh.ProduceSync(t.Context(), &kgo.Record{Topic: topics.Raw("p", "s"), Partition: partition, Value: []byte("{}")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.rawKnown() // as a processor registers it, after control was lost
	w.start("one", nil).degraded(t, "was recreated")
	w.decided(func(s *control.Stream) error {
		if s.Run.Number != 1 || len(s.Run.From) > 0 {
			return fmt.Errorf("run %+v, want one from the start", s.Run)
		}
		return nil
	})
}

// recreatedWorld is one whose sink has ended and whose topics were all recreated since.
func recreatedWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, onSQLite(t))
	w.send(w.record("a", 1), w.record("a", 2))
	w.raws(5)
	w.rawKnown()
	w.start("one", nil).drainAfter(t, w)
	w.remake(topics.Raw("p", "s"), true)
	w.remake(topics.Processed("p", "s"), true)
	return w
}

// beginAgain has the stream's positions begin at the start of the log, as a command does.
func (w *world) beginAgain(t *testing.T) {
	t.Helper()
	a, err := OpenAdmin(w.pipeline)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.BeginAgain(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
}
