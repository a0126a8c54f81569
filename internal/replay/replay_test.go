package replay_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/replay"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testworld"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// load is random revisions of some keys: rows, drafts, deletions, and some that every logic refuses.
func load(rnd *rand.Rand, n, keys int) []*kgo.Record {
	out := make([]*kgo.Record, n)
	for i := range out {
		id := rnd.IntN(keys)
		switch rnd.IntN(12) {
		case 0:
			out[i] = testworld.Raw(id, "", nil)
		case 1, 2:
			out[i] = testworld.Raw(id, "draft", i)
		case 3:
			out[i] = testworld.Raw(id, "ok", "x")
		default:
			out[i] = testworld.Raw(id, "ok", i)
		}
	}
	return out
}

// TestCorrectedMap: after a replay by the right logic the table is what a fresh run makes, what came meanwhile
// included.
func TestCorrectedMap(t *testing.T) {
	w := newWorld(t, 3, wrong)
	rnd := rand.New(rand.NewPCG(1, 2))
	w.produce(load(rnd, 600, 60)...)
	w.want(w.fresh(wrong))
	r := w.open(right, "redo")
	plan, err := r.Begin(t.Context(), replay.Ask{})
	if err != nil || !plan.Other || plan.Generation != 3 {
		t.Fatalf("%+v, %v", plan, err)
	}
	w.Write(load(rnd, 200, 60)...) // the processor, which runs the old file, goes over to the new logic
	w.run(r)
	w.settle()
	w.want(w.fresh(right))
	w.process(right)
	w.produce(load(rnd, 50, 60)...)
	w.want(w.fresh(right))

	w.replay(right, replay.Ask{}) // once more by the same logic: nothing changes
	w.want(w.fresh(right))
	if s := w.Decided(); s.Live != 2 || len(s.Generations) != 4 {
		t.Errorf("%+v", s)
	}
}

// TestOnlyARange: keys whose newest record is outside stay as they are.
func TestOnlyARange(t *testing.T) {
	w := newWorld(t, 1, wrong)
	for i := range 10 {
		w.Write(testworld.Raw(i, "ok", i))
	}
	w.settle()
	testkit.Pause(t.Context(), 5*time.Millisecond) // so that the records below have later times
	at := time.Now()
	for i := range 4 {
		w.Write(testworld.Raw(i, "ok", 100+i))
	}
	w.settle()
	first := w.Raws()[5].Offset
	w.replay(right, replay.Ask{From: replay.Bound{Offsets: map[int32]int64{0: first}}, To: replay.Bound{Offsets: map[int32]int64{0: w.Raws()[8].Offset}}})
	want := w.fresh(wrong)
	for i := 5; i < 8; i++ {
		want[i] = 3 * i
	}
	w.want(want)
	w.replay(right, replay.Ask{From: replay.Bound{Time: at}})
	for i := range 4 {
		want[i] = 3 * (100 + i)
	}
	w.want(want)
	w.replay(right, replay.Ask{Keys: []string{"9", "none"}})
	want[9] = 27
	w.want(want)
	w.replay(right, replay.Ask{})
	w.want(w.fresh(right))
}

// TestFilteredThenDeleted: the record that the new logic keeps is not the newest, so it makes no row, though the range
// ends before the deletion.
func TestFilteredThenDeleted(t *testing.T) {
	w := newWorld(t, 1, wrong)
	w.produce(testworld.Raw(1, "draft", 1), testworld.Raw(2, "ok", 2))
	w.produce(testworld.Raw(1, "", nil))
	w.replay(lenient, replay.Ask{To: replay.Bound{Offsets: map[int32]int64{0: w.Raws()[2].Offset}}})
	w.want(map[int]int{2: 6})
}

// TestMarkAgedOut: a row that was deleted does not come back, though its mark is gone.
func TestMarkAgedOut(t *testing.T) {
	w := newWorld(t, 1, wrong)
	w.produce(testworld.Raw(1, "ok", 1), testworld.Raw(2, "ok", 2))
	w.produce(testworld.Raw(1, "", nil))
	if _, err := w.DB.Exec("DELETE FROM millrace_marks"); err != nil {
		t.Fatal(err)
	}
	w.replay(right, replay.Ask{To: replay.Bound{Offsets: map[int32]int64{0: w.Raws()[2].Offset}}})
	w.want(map[int]int{2: 6})
}

// TestDeletedDuringAReplay: a key without a row is deleted while a replay runs. What the replay makes of an older
// record does not stay.
func TestDeletedDuringAReplay(t *testing.T) {
	w := newWorld(t, 1, wrong)
	w.produce(testworld.Raw(1, "draft", 1), testworld.Raw(2, "ok", 2))
	r := w.open(lenient, "redo")
	if _, err := r.Begin(t.Context(), replay.Ask{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Pause(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	stop := w.background(r, work())
	w.await(control.Running)
	w.produce(testworld.Raw(1, "", nil))
	if _, err := r.Pause(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 2*time.Minute, testkit.That("the redo has ended", func() bool { return w.Decided().Redo == nil }))
	if err := stop(); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	w.want(map[int]int{2: 6})
}

// TestRemovalsAreMarkedBeforeTheCut: whatever lies above the cut is removed by a sink that leaves a mark. A removal
// between the cut and the marking would leave none, and the row that the replay makes of an older record would stay.
func TestRemovalsAreMarkedBeforeTheCut(t *testing.T) {
	w := newWorld(t, 1, wrong)
	w.produce(testworld.Raw(1, "ok", 1), testworld.Raw(2, "ok", 2))
	a, err := sink.OpenAdmin(w.pipeline)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	r := w.open(right, "redo")
	if _, err := r.Begin(t.Context(), replay.Ask{}); err != nil {
		t.Fatal(err)
	}
	w.stopped() // so that nobody else asks where the processors are
	w.cutBehind(r, "while removals leave no marks", func() bool {
		on, err := a.Marking(context.WithoutCancel(t.Context()), "s")
		if err != nil {
			t.Error(err)
		}
		return on
	})
	w.want(map[int]int{1: 3, 2: 6})
}

// cutBehind has a redo run to its end, and fails unless something held whenever it read the cut.
func (w *world) cutBehind(r *replay.Replay, otherwise string, holds func() bool) {
	w.T.Helper()
	cuts := make(chan bool, 100)
	w.Cluster.ControlKey(int16(kmsg.OffsetFetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.Cluster.KeepControl()
		if req := r.(*kmsg.OffsetFetchRequest); req.RequireStable && len(req.Groups) == 1 && req.Groups[0].Group == topics.ProcessorGroup("p") {
			select {
			case cuts <- holds():
			default:
			}
		}
		return nil, nil, false
	})
	w.background(r, work())
	testkit.Eventually(w.T, 2*time.Minute, testkit.That("the redo has ended", func() bool { return w.Decided().Redo == nil }))
	if len(cuts) == 0 {
		w.T.Fatal("the cut was not read")
	}
	for len(cuts) > 0 {
		if !<-cuts {
			w.T.Error("the cut is read " + otherwise)
		}
	}
}

// TestTheCutIsReadBehindTheFence: what the logic of before has not committed by the cut, it never commits. A transaction that it
// ends between the two would keep its rows, for the replay ends at the cut.
func TestTheCutIsReadBehindTheFence(t *testing.T) {
	w := newWorld(t, 1, wrong)
	w.produce(testworld.Raw(1, "ok", 1), testworld.Raw(2, "ok", 2))
	r := w.open(right, "redo")
	if _, err := r.Begin(t.Context(), replay.Ask{}); err != nil {
		t.Fatal(err)
	}
	w.stopped() // so that nobody else asks where the processors are, and takes their ids
	var fenced atomic.Bool
	w.Cluster.ControlKey(int16(kmsg.InitProducerID), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.Cluster.KeepControl()
		if id := r.(*kmsg.InitProducerIDRequest).TransactionalID; id != nil && strings.HasPrefix(*id, topics.ProcessorTransactionalIDs("p")) {
			fenced.Store(true)
		}
		return nil, nil, false
	})
	w.cutBehind(r, "before the logic of before is fenced", fenced.Load)
	w.want(map[int]int{1: 3, 2: 6})
}

// TestNewestIsRefused: the next older record that is not refused makes the row.
func TestNewestIsRefused(t *testing.T) {
	w := newWorld(t, 1, wrong)
	w.produce(testworld.Raw(1, "draft", 7), testworld.Raw(1, "draft", 8), testworld.Raw(2, "ok", 1))
	w.produce(testworld.Raw(1, "ok", "x"))
	w.want(map[int]int{2: 2})
	w.replay(lenient, replay.Ask{From: replay.Bound{Offsets: map[int32]int64{0: w.Raws()[3].Offset}}})
	w.want(map[int]int{1: 24, 2: 2})
}

// TestTooManyLetters: the replay stops, says an example, and goes on when it is told to.
func TestTooManyLetters(t *testing.T) {
	w := newWorld(t, 1, wrong)
	w.produce(testworld.Raw(1, "ok", 1), testworld.Raw(2, "ok", 2))
	bad := testworld.Logic{Refuses: wrong.Refuses, By: 3, N: `n > 1 ? n * 3 : n / 0`}
	r := w.open(bad, "redo")
	if _, err := r.Begin(t.Context(), replay.Ask{}); err != nil {
		t.Fatal(err)
	}
	how := work()
	how.Letters = 0
	err := r.Run(t.Context(), how)
	if tooMany, ok := errors.AsType[*processor.TooManyLettersError](err); !ok || tooMany.Letters != 1 || !strings.Contains(err.Error(), "process[1].map.n") {
		t.Fatalf("%v", err)
	}
	w.want(map[int]int{1: 2, 2: 4})
	w.run(r)
	w.want(map[int]int{1: 2, 2: 6})
}

// leave begins a redo, and leaves it in a state.
func (w *world) leave(state control.RedoState) {
	w.T.Helper()
	r := w.open(right, "redo")
	if _, err := r.Begin(w.T.Context(), replay.Ask{Rate: 200}); err != nil {
		w.T.Fatal(err)
	}
	if state != control.Marking {
		stop := w.background(r, work())
		w.await(state)
		_ = stop()
	}
}

// TestKilledAtEachState: whoever runs it again goes on, and the table is right.
func TestKilledAtEachState(t *testing.T) {
	for _, state := range []control.RedoState{control.Marking, control.Running, control.Ending} {
		t.Run(string(state), func(t *testing.T) {
			w := newWorld(t, 2, wrong)
			rnd := rand.New(rand.NewPCG(3, 4))
			w.produce(load(rnd, 300, 40)...)
			w.leave(state)
			w.Write(load(rnd, 100, 40)...)
			next := w.open(right, "redo")
			if _, err := next.Begin(t.Context(), replay.Ask{}); state != control.Ending {
				if _, ok := errors.AsType[*replay.UnderWayError](err); !ok {
					t.Errorf("begun twice: %v", err)
				}
			}
			w.run(next)
			w.settle()
			w.want(w.fresh(right))
		})
	}
}

// TestKilledAgainAndAgain stops processes that take part at random moments.
func TestKilledAgainAndAgain(t *testing.T) {
	w := newWorld(t, 3, wrong)
	rnd := rand.New(rand.NewPCG(5, 6))
	w.produce(load(rnd, 500, 80)...)
	r := w.open(right, "redo")
	if _, err := r.Begin(t.Context(), replay.Ask{Rate: 100}); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		stop := w.background(w.open(right, fmt.Sprint("helper-", i%2)), work())
		testkit.Pause(t.Context(), time.Duration(rnd.IntN(600))*time.Millisecond)
		w.Write(load(rnd, 20, 80)...)
		_ = stop()
	}
	if _, err := r.Limit(t.Context(), 0); err != nil && !errors.Is(err, replay.ErrNone) {
		t.Fatal(err)
	}
	w.run(r)
	w.settle()
	w.want(w.fresh(right))
}

// TestTwoTakePart: both end, and no record is processed again twice.
func TestTwoTakePart(t *testing.T) {
	w := newWorld(t, 4, wrong)
	rnd := rand.New(rand.NewPCG(7, 8))
	w.produce(load(rnd, 400, 100)...)
	a, b := w.open(right, "a"), w.open(right, "b")
	plan, err := a.Begin(t.Context(), replay.Ask{Rate: 100})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1) // one send, so that it never waits
	go func() { ended <- b.Run(t.Context(), work()) }()
	w.run(a)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	w.want(w.fresh(right))
	seen := map[string]bool{}
	for _, r := range testkit.Records(t, w.Cluster.ListenAddrs(), topics.Processed("p", "s")) {
		header, _ := topics.Header(r, topics.HeaderVersion)
		if v, err := topics.ParseVersion(header); err != nil || v.Generation() == plan.Generation && seen[string(header)+string(r.Key)] {
			t.Errorf("%s of key %s is there twice: %v", v, r.Key, err)
		}
		seen[string(header)+string(r.Key)] = true
	}
}

// TestAbort ends a replay where it is: rows are of the one logic or the other, and another replay may begin.
func TestAbort(t *testing.T) {
	w := newWorld(t, 2, wrong)
	for i := range 400 {
		w.Write(testworld.Raw(i, "ok", i+1))
	}
	w.settle()
	r := w.open(right, "redo")
	plan, err := r.Begin(t.Context(), replay.Ask{Rate: 10})
	if err != nil {
		t.Fatal(err)
	}
	stop := w.background(r, work())
	testkit.Eventually(t, 2*time.Minute, testkit.That("a row of the right logic", func() bool { return !maps.Equal(w.rows(), w.fresh(wrong)) }))
	other := w.open(right, "other")
	if s, err := other.Status(t.Context()); err != nil || s.State != control.Running || s.All == 0 || s.Members == 0 || len(s.Partitions) != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := other.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.run(other)
	if err := stop(); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := other.Status(t.Context()); !errors.Is(err, replay.ErrNone) {
		t.Errorf("%v", err)
	}
	if err := r.Ended(t.Context(), plan.Generation); !errors.Is(err, replay.ErrAborted) {
		t.Errorf("whoever took part is told that it was aborted: %v", err)
	}
	oldRows := 0
	for id, n := range w.rows() {
		if n != 3*(id+1) && n != 2*(id+1) {
			t.Errorf("row %d is %d", id, n)
		}
		if n == 2*(id+1) {
			oldRows++
		}
	}
	if oldRows == 0 {
		t.Error("the abort came too late to show anything")
	}
	w.replay(right, replay.Ask{})
	w.want(w.fresh(right))
}

// TestRefused: what cannot be begun says why, and changes nothing.
func TestRefused(t *testing.T) {
	w := newWorld(t, 1, wrong)
	w.produce(testworld.Raw(1, "ok", 1))
	p := w.of(right)
	p.Streams[0].Process[1].Map[0].Expr = "id + 1"
	other, err := replay.Open(p, "s", w.Env("redo"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var refused *replay.RefusedError
	if _, err := other.Begin(t.Context(), replay.Ask{}); !errors.As(err, &refused) || !strings.Contains(err.Error(), "another sink.table") ||
		!strings.Contains(err.Error(), "`millrace replay shop.yaml s --shadow`") {
		t.Errorf("%v", err)
	}
	p = w.of(right)
	p.Streams[0].Sink.Columns = append(p.Streams[0].Sink.Columns, pipeline.ColumnType{Name: "m", Type: "int"})
	p.Streams[0].Process[1].Map = append(p.Streams[0].Process[1].Map, pipeline.Column{Name: "m", Expr: "n"})
	lacks, err := replay.Open(p, "s", w.Env("redo"))
	if err != nil {
		t.Fatal(err)
	}
	defer lacks.Close()
	var table *sink.TableError
	if _, err := lacks.Begin(t.Context(), replay.Ask{}); !errors.As(err, &table) || !strings.Contains(err.Error(), "m") {
		t.Errorf("%v", err)
	}
	r := w.open(right, "redo")
	if _, err := r.Begin(t.Context(), replay.Ask{From: replay.Bound{Offsets: map[int32]int64{4: 0}}}); !errors.As(err, &refused) {
		t.Errorf("%v", err)
	}
	if _, err := r.Abort(t.Context()); !errors.Is(err, replay.ErrNone) {
		t.Errorf("%v", err)
	}
	if s := w.Decided(); s.Redo != nil || len(s.Generations) != 1 {
		t.Errorf("%+v", s)
	}
	if _, err := r.Begin(t.Context(), replay.Ask{}); err != nil {
		t.Fatal(err)
	}
	env := w.Env("third")
	env.File = "my shop.yaml" // a command that is told is one that a shell takes
	third, err := replay.Open(w.of(lenient), "s", env)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if err := third.Run(t.Context(), work()); !errors.Is(err, replay.ErrOtherLogic) || !strings.Contains(err.Error(), "millrace replay abort 'my shop.yaml' s") {
		t.Errorf("%v", err)
	}
	w.run(r)
	w.want(w.fresh(right))
}

// TestToldProgress: whoever takes part is told how far the redo is, up to its end.
func TestToldProgress(t *testing.T) {
	w := newWorld(t, 1, wrong)
	for i := range 60 {
		w.Write(testworld.Raw(i, "ok", i))
	}
	w.settle()
	r := w.open(right, "redo")
	if _, err := r.Begin(t.Context(), replay.Ask{Rate: 20}); err != nil {
		t.Fatal(err)
	}
	var told []replay.Progress
	how := work()
	how.Told = func(p replay.Progress) { told = append(told, p) }
	if err := r.Run(t.Context(), how); err != nil {
		t.Fatal(err)
	}
	if len(told) == 0 || !slices.IsSortedFunc(told, func(a, b replay.Progress) int { return int(a.Done - b.Done) }) {
		t.Fatalf("%+v", told)
	}
	if last := told[len(told)-1]; last.Done != last.All || last.All < 60 || last.Keys != 60 || last.Processed != 60 {
		t.Errorf("%+v", last)
	}
}

// TestTableRefusesTheNewest: the newest record that the table takes is processed again, however many rounds that takes.
func TestTableRefusesTheNewest(t *testing.T) {
	const none, another = 0.25, 0.125 // twice or three times as much is no bigint
	w := newWorld(t, 2, wrong)
	for id := range 5 {
		w.Write(testworld.Raw(id, "ok", id+1))
	}
	w.Write(testworld.Raw(1, "ok", none), testworld.Raw(2, "draft", 0), testworld.Raw(2, "ok", none), testworld.Raw(3, "ok", none), testworld.Raw(3, "ok", another), testworld.Raw(9, "ok", none))
	w.settle()
	w.want(map[int]int{0: 2, 1: 4, 3: 8, 4: 10})
	w.replay(right, replay.Ask{})
	w.want(map[int]int{0: 3, 1: 6, 3: 12, 4: 15})
}

// TestTakesPartInALaterRound: who takes part names the generation that is under way, and runs until the whole redo has
// ended.
func TestTakesPartInALaterRound(t *testing.T) {
	const none = 0.25
	w := newWorld(t, 2, wrong)
	w.Write(testworld.Raw(1, "ok", 2), testworld.Raw(1, "ok", none), testworld.Raw(2, "ok", 3))
	w.settle()
	r := w.open(right, "redo")
	var round uint16
	for try := 0; round == 0; try++ { // each redo has another round, which may be over before it is looked at
		if try == 20 {
			t.Fatal("no redo was seen in another round")
		}
		if _, err := r.Begin(t.Context(), replay.Ask{}); err != nil {
			t.Fatal(err)
		}
		stop := w.background(r, work())
		testkit.Eventually(t, 2*time.Minute, testkit.That("another round is under way", func() bool {
			s := w.Decided()
			if s.Redo != nil && s.Redo.Generation != s.Redo.First {
				round = s.Redo.Generation
			}
			return s.Redo == nil || round != 0
		}))
		_ = stop()
	}
	later := work()
	later.Generation = round
	if err := w.open(right, "heir").Run(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	if s := w.Decided(); s.Redo != nil {
		t.Errorf("it is still under way: %+v", s.Redo)
	}
	w.want(map[int]int{1: 6, 2: 9})
}

// TestProcessedTopicRecreated while a replay is under way, and once all of it is written: it begins again by itself,
// and the table is right, with what the sink had not taken.
func TestProcessedTopicRecreated(t *testing.T) {
	for _, state := range []control.RedoState{control.Marking, control.Running, control.Ending} {
		t.Run(string(state), func(t *testing.T) {
			w := newWorld(t, 2, wrong)
			rnd := rand.New(rand.NewPCG(9, 10))
			w.produce(load(rnd, 300, 40)...)
			w.leave(state)
			before := w.Decided().Redo.Generation
			w.Write(load(rnd, 100, 40)...)
			if _, err := kadm.NewClient(w.Client).DeleteTopic(t.Context(), topics.Processed("p", "s")); err != nil {
				t.Fatal(err)
			}
			testkit.Eventually(t, 2*time.Minute, func() error {
				if s := w.Decided(); s.Redo == nil || s.Redo.Generation == before || s.Run.Number == 0 {
					return fmt.Errorf("it did not begin again: %+v", s.Redo)
				}
				return nil
			})
			w.Write(load(rnd, 50, 40)...)
			w.run(w.open(right, "redo"))
			w.settle()
			w.want(w.fresh(right))
		})
	}
}

// TestGroupThatWasMoved: an offset of another program counts for nothing once it is answered, be it that no processor
// has committed since.
func TestGroupThatWasMoved(t *testing.T) {
	w := newWorld(t, 2, wrong)
	for id := range 8 {
		w.Write(testworld.Raw(id, "ok", id+1))
	}
	w.settle()
	w.stopped()
	w.stopped = nil
	adm, rawTopic := kadm.NewClient(w.Client), topics.Raw("p", "s")
	ends, err := adm.ListEndOffsets(t.Context(), rawTopic)
	if err != nil {
		t.Fatal(err)
	}
	moved, from := kadm.Offsets{}, map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		from[o.Partition] = o.Offset
		moved.AddOffset(rawTopic, o.Partition, 1, -1)
	})
	if err := adm.CommitAllOffsets(t.Context(), topics.ProcessorGroup("p"), moved); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Change(t.Context(), control.Config{Pipeline: "p", Who: "test", Client: w.Env("test").Kafka}, "s", func(s *control.Stream) error {
		s.Moved, s.Run = map[int32]int64{0: 1, 1: 1}, control.Run{Number: s.Run.Number + 1, From: from}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	w.replay(right, replay.Ask{})
	w.want(w.fresh(right))
}
