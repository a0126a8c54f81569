package sink

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

func (w *world) control() control.Config {
	return control.Config{Pipeline: w.pipeline.Name, Who: "test", Client: []kgo.Opt{kgo.SeedBrokers(w.seeds...)}}
}

// decide changes what is decided about the stream.
func (w *world) decide(change func(*control.Stream)) {
	w.t.Helper()
	if _, err := control.Change(w.t.Context(), w.control(), "s", func(s *control.Stream) error { change(s); return nil }); err != nil {
		w.t.Fatal(err)
	}
}

// decided waits until what is decided is as it should be.
func (w *world) decided(good func(*control.Stream) error) {
	w.t.Helper()
	v := control.NewView(w.control())
	defer v.Close()
	testkit.Eventually(w.t, 2*time.Minute, func() error {
		ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
		defer cancel()
		if _, err := v.Refresh(ctx); err != nil {
			return err
		}
		return good(v.Stream("s"))
	})
}

// notDegraded returns once no notice says text.
func (r *running) notDegraded(t *testing.T, text string) {
	t.Helper()
	testkit.Eventually(t, 2*time.Minute, func() error {
		if told := r.health.Degraded()["sink s"]; strings.Contains(told, text) {
			return fmt.Errorf("health says %q, want that it does not say %q", told, text)
		}
		return nil
	})
}

// raws gives raw topics records up to the offsets of what was processed, and more.
func (w *world) raws(more int) {
	w.t.Helper()
	var batch []*kgo.Record
	for partition := range w.pipeline.Kafka.Partitions {
		for range w.raw[partition] + int64(more) {
			batch = append(batch, &kgo.Record{Topic: topics.Raw("p", "s"), Partition: partition, Value: []byte("{}")})
		}
	}
	w.send(batch...)
}

// TestPausedStreamStands: while it runs, over a restart, and until it is resumed. It is ready meanwhile: nothing is
// wrong.
func TestPausedStreamStands(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	w.produce(300)
	r := w.start("one", nil)
	db := w.db()
	w.caughtUp(db, 2*time.Minute)
	w.decide(func(s *control.Stream) {
		s.Paused = map[string]control.Pause{"sink": {At: time.Unix(0, 0), By: "ann", Why: "a migration"}, "ingest": {}}
	})
	paused := "paused since 1970-01-01T00:00:00Z by ann: a migration; `millrace resume FILE s` lets it continue"
	r.degraded(t, paused)
	before := maps.Clone(w.want)
	w.send(w.record("later", 1))
	r.ready(t)
	r.drain(t, 2*time.Minute)
	r = w.start("two", nil)
	r.degraded(t, paused)
	r.ready(t)
	after := w.want
	w.want = before
	w.rows(db)
	w.want = after
	w.decide(func(s *control.Stream) { delete(s.Paused, "sink") })
	w.caughtUp(db, 2*time.Minute)
	r.notDegraded(t, "paused")
	r.ready(t)
}

// TestLostPositionsAreDeclaredOnce: two sinks answer, one run is declared, from what was applied.
func TestLostPositionsAreDeclaredOnce(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	w.produce(300)
	w.raws(5)
	one, two := w.start("one", nil), w.start("two", nil)
	w.caughtUp(w.db(), 2*time.Minute)
	for run := uint32(1); run <= 2; run++ {
		w.decide(func(s *control.Stream) { s.Lost = &control.Lost{Why: "the group was moved"} })
		w.decided(func(s *control.Stream) error {
			if s.Lost != nil || s.Run.Number < run {
				return errors.New("not answered")
			}
			return nil
		})
		want := maps.Clone(w.raw)
		w.decided(func(s *control.Stream) error {
			for partition, from := range s.Run.From { // the last ones may have been refused, which moves nothing
				if from > want[partition] || from < want[partition]-3 {
					return fmt.Errorf("partition %d from %d, want %d", partition, from, want[partition])
				}
			}
			if d := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(s.Run.From))); d != "" || s.Run.Number != run || s.Run.Why != "the group was moved" {
				return fmt.Errorf("run %+v, partitions %s", s.Run, d)
			}
			return nil
		})
	}
	testkit.Eventually(t, 2*time.Minute, testkit.That("two answers, each told once", func() bool {
		return strings.Count(one.log.String()+two.log.String(), "the processors had lost their positions: they continue after what is in the table") == 2
	}))
}

// TestNoPositionsOfARawTopicThatIsOlder: what was applied is not in it, so no position is right.
func TestNoPositionsOfARawTopicThatIsOlder(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	w.produce(300) // and no raw records
	r := w.start("one", nil)
	w.caughtUp(w.db(), 2*time.Minute)
	w.decide(func(s *control.Stream) { s.Lost = &control.Lost{Why: "the group was moved"} })
	r.degraded(t, "millrace recover FILE s --kafka-lost")
	w.raws(1)
	w.decided(func(s *control.Stream) error {
		if s.Lost != nil {
			return errors.New("not answered")
		}
		return nil
	})
	r.notDegraded(t, "recover")
}

// TestRawTopicThatLostItsEnd: what comes would get offsets that were applied. The stream stands until it begins again.
func TestRawTopicThatLostItsEnd(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	w.send(w.record("a", 1), w.record("a", 2), w.record("a", 3)) // and no raw records
	details, err := w.adm.ListTopics(t.Context(), topics.Raw("p", "s"))
	if err != nil {
		t.Fatal(err)
	}
	id := details[topics.Raw("p", "s")].ID
	w.decide(func(s *control.Stream) {
		s.Epochs = []control.Epoch{{Number: 0, RawTopicID: hex.EncodeToString(id[:])}}
	})
	r := w.start("one", nil)
	w.caughtUp(w.db(), 2*time.Minute)
	r.waits(t, "the raw topic does not hold what the table has: of partition", "millrace recover FILE s --kafka-lost")
	w.beginAgain(t)
	r.ready(t)
	w.raws(1)
	w.send(w.record("a", 4))
	w.caughtUp(w.db(), 2*time.Minute)
}

// TestPositionsOfAnOlderRawTopicDoNotCount: processing begins at the start of the new one.
func TestPositionsOfAnOlderRawTopicDoNotCount(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	w.produce(300)
	w.raws(1)
	w.start("one", nil)
	w.caughtUp(w.db(), 2*time.Minute)
	w.decide(func(s *control.Stream) {
		s.Epochs = []control.Epoch{{Number: 0}, {Number: 1}}
		s.Lost = &control.Lost{Why: "the group was moved"}
	})
	w.decided(func(s *control.Stream) error {
		if s.Run.Number != 1 || len(s.Run.From) > 0 {
			return fmt.Errorf("run %+v, want one from the start", s.Run)
		}
		return nil
	})
}

// TestRowsOfOldLogicAreCounted: once for a generation of other logic, and again after a redo.
func TestRowsOfOldLogicAreCounted(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	w.send(w.record("a", 1), w.record("b", 1), w.record("c", 1))
	w.decide(func(s *control.Stream) {
		s.Generations, s.Live = []control.Generation{{Number: 1, Kind: control.First}}, 1
	})
	r := w.start("one", nil)
	db := w.db()
	w.caughtUp(db, 2*time.Minute)
	if _, err := db.Exec("INSERT INTO things (id, _mr_version) VALUES ('yours', '')"); err != nil {
		t.Fatal(err)
	}
	w.decide(func(s *control.Stream) {
		s.Generations, s.Live = append(s.Generations, control.Generation{Number: 2, Kind: control.Other}), 2
	})
	r.degraded(t, "3 rows of the table things were made by older logic than generation 2")
	r.degraded(t, "What would change: millrace replay FILE s --dry-run; to change it: millrace replay FILE s")
	redo := func(generation uint16) {
		w.decide(func(s *control.Stream) { s.Redo = &control.Redo{Generation: generation} })
		testkit.Eventually(t, 2*time.Minute, testkit.That("that the sink knows of the redo", func() bool { return r.sink.view.Stream("s").Redo != nil }))
		w.generation = generation
	}
	redo(2)
	w.send(w.record("a", 2), w.record("b", 2))
	w.decide(func(s *control.Stream) { s.Redo = nil })
	r.degraded(t, "after the redo")
	redo(3)
	w.send(w.record("c", 2))
	testkit.Eventually(t, 2*time.Minute, func() error {
		var n int
		if err := db.QueryRow("SELECT n FROM things WHERE id = 'c'").Scan(&n); err != nil || n != 2 {
			return fmt.Errorf("%d, %w", n, err)
		}
		return nil
	})
	w.decide(func(s *control.Stream) { s.Redo = nil })
	r.notDegraded(t, "logic")
}

// TestParkingOutlivesARace: a stream that is parked while it is about to go on waits.
func TestParkingOutlivesARace(t *testing.T) {
	p := &parking{}
	p.at("t")
	p.makeDue("t")
	first := p.streams["t"].wait
	p.leave("t")
	if waits, _ := p.has("t"); waits || len(p.topics(true)) > 0 || len(p.topics(false)) > 0 {
		t.Error("a stream that continues waits")
	}
	p.makeDue("t") // too late
	if _, due := p.has("t"); due {
		t.Error("a stream that continues is due")
	}
	p.at("t")
	if waits, due := p.has("t"); !waits || due || p.streams["t"].wait != first {
		t.Errorf("waits %t, due %t; want that it waits, for longer than before", waits, due)
	}
	p.leave("t")
	p.streams["t"].left = time.Now().Add(-2 * backs)
	if p.at("t"); p.streams["t"].wait == first {
		t.Error("it was in order for long, and waits as long as before")
	}
	s := &Sink{}
	s.parking.at("t")
	if s.unpark("t"); len(s.parking.topics(true)) > 0 { // which was due when it was called
		t.Error("it continues")
	}
	p.soon("t")
	if len(p.topics(false)) != 1 {
		t.Error("it is not looked at")
	}
}
