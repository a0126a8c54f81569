package replay_test

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/replay"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testworld"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// The logics of replays.
var (
	wrong   = testworld.Logic{Refuses: "draft", By: 2}
	right   = testworld.Logic{Refuses: "draft", By: 3}
	lenient = testworld.Logic{Refuses: "void", By: 3} // keeps drafts
)

// world is a world whose table is made again.
type world struct {
	*testworld.World

	pipeline *pipeline.Pipeline // what the processor runs
	stopped  func()             // stops the processor
}

// newWorld runs the stages with a logic.
func newWorld(t testing.TB, partitions int32, l testworld.Logic) *world {
	t.Helper()
	w := &world{World: testworld.New(t, l.Stream(), partitions)}
	w.Sink(w.of(l), w.Env("sink"))
	w.process(l)
	return w
}

// of is the pipeline with a logic.
func (w *world) of(l testworld.Logic) *pipeline.Pipeline { return w.Of(l.Stream()) }

// process has the processor run a logic, in place of the one that it runs.
func (w *world) process(l testworld.Logic) {
	w.T.Helper()
	if w.stopped != nil {
		w.stopped()
	}
	w.pipeline = w.of(l)
	w.stopped = w.Processor(w.pipeline, w.Env("live"))
}

// produce writes raw records, and returns when the table has them.
func (w *world) produce(records ...*kgo.Record) {
	w.T.Helper()
	w.Write(records...)
	w.settle()
}

// settle waits until the table has all that is in the raw topic.
func (w *world) settle() {
	w.T.Helper()
	a, err := sink.OpenAdmin(w.pipeline)
	if err != nil {
		w.T.Fatal(err)
	}
	defer a.Close()
	ctx := w.T.Context()
	testkit.Eventually(w.T, 2*time.Minute, func() error {
		if n, err := admin.Lag(ctx, w.Client, topics.ProcessorGroup("p"), w.Partitions, topics.Raw("p", "s")); err != nil || n > 0 {
			return fmt.Errorf("the processor lags %d: %w", n, err)
		}
		positions, err := a.Positions(ctx, "s")
		at := map[int32]int64{}
		for partition := range w.Partitions {
			at[partition] = -1
			if p, ok := positions[partition]; ok {
				at[partition] = p.Next
			}
		}
		n := int64(0)
		if err == nil {
			n, err = admin.Remaining(ctx, w.Client, map[string]map[int32]int64{topics.Processed("p", "s"): at})
		}
		if err != nil || n > 0 {
			return fmt.Errorf("the sink lags %d: %w", n, err)
		}
		return nil
	})
}

// rows are the table: n by id.
func (w *world) rows() map[int]int {
	w.T.Helper()
	rows, err := w.Read("t")
	if err != nil {
		w.T.Fatal(err)
	}
	return numbers(rows)
}

// fresh is the table that a fresh run of a logic makes.
func (w *world) fresh(l testworld.Logic) map[int]int { return numbers(l.Fresh(w.Raws())) }

func numbers(rows map[string]string) map[int]int {
	out := map[int]int{}
	for key, text := range rows {
		id, _ := strconv.Atoi(key)
		out[id], _ = strconv.Atoi(text)
	}
	return out
}

// want compares the table.
func (w *world) want(rows map[int]int) {
	w.T.Helper()
	if got := w.rows(); !maps.Equal(got, rows) {
		w.T.Errorf("the table is %v, want %v", got, rows)
	}
}

// open is a process that replays with a logic.
func (w *world) open(l testworld.Logic, name string) *replay.Replay {
	w.T.Helper()
	r, err := replay.Open(w.of(l), "s", w.Env(name))
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(r.Close)
	return r
}

// work is how tests take part.
func work() replay.Work {
	cfg := processor.DefaultConfig()
	cfg.Sessions, cfg.Interval = 2, 20*time.Millisecond
	return replay.Work{Processor: cfg, Letters: -1, Memory: processor.DefaultRedoMemory}
}

// replay makes a whole redo.
func (w *world) replay(l testworld.Logic, ask replay.Ask) {
	w.T.Helper()
	r := w.open(l, "redo")
	if _, err := r.Begin(w.T.Context(), ask); err != nil {
		w.T.Fatal(err)
	}
	w.run(r)
}

// run takes part in a redo until it has ended.
func (w *world) run(r *replay.Replay) {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(w.T.Context(), 3*time.Minute)
	defer cancel()
	if err := r.Run(ctx, work()); err != nil {
		w.T.Fatal(err)
	}
	if s := w.Decided(); s.Redo != nil {
		w.T.Fatalf("a redo is still under way: %+v", s.Redo)
	}
	a, err := sink.OpenAdmin(w.pipeline)
	if err != nil {
		w.T.Fatal(err)
	}
	defer a.Close()
	if on, err := a.Marking(w.T.Context(), "s"); on || err != nil {
		w.T.Errorf("after the redo: marking is %t, %v", on, err)
	}
}

// await waits for a state of the redo.
func (w *world) await(state control.RedoState) {
	w.T.Helper()
	testkit.Eventually(w.T, 2*time.Minute, func() error {
		if s := w.Decided(); s.Redo == nil || s.Redo.State != state {
			return fmt.Errorf("the redo is %+v, not %s", s.Redo, state)
		}
		return nil
	})
}

// background takes part until stop is called, which returns what Run did.
func (w *world) background(r *replay.Replay, how replay.Work) (stop func() error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.T.Context()))
	ended := make(chan error, 1) // one send, so that it never waits
	go func() { ended <- r.Run(ctx, how) }()
	var err error
	done := false
	stop = func() error {
		if !done {
			cancel()
			err, done = <-ended, true
		}
		return err
	}
	w.T.Cleanup(func() { _ = stop() })
	return stop
}
