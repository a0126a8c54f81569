package swap_test

import (
	"context"
	"testing"

	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/internal/swap"
	"github.com/millrace-io/millrace/internal/testworld"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink"
)

// The logics of lines.
var (
	double = testworld.Logic{Refuses: "draft", By: 2}
	triple = testworld.Logic{Refuses: "draft", By: 3, Status: "varchar(20)"}
	// the same as double, otherwise, and one column more.
	twice = testworld.Logic{Refuses: "draft", By: 2, N: "n + n", Status: "varchar(20)"}
)

var doubles, triples, doubles2 = double.Stream(), triple.Stream(), twice.Stream()

// world is a world whose lines are swapped.
type world struct{ *testworld.World }

const partitions = 3

func newWorld(t testing.TB, s pipeline.Stream) *world {
	t.Helper()
	return &world{testworld.New(t, s, partitions)}
}

// process runs the stages of a file with that stream, and its lines, as a process does, until stop is called.
func (w *world) process(s pipeline.Stream) (stop func()) {
	w.T.Helper()
	stop, _ = w.Process(s, "live")
	return stop
}

// shadow builds a line of a file with that stream, beside the process.
func (w *world) shadow(s pipeline.Stream) (number uint16) {
	w.T.Helper()
	b, err := lines.Open(w.Of(s), "s", w.Env("builder"))
	if err != nil {
		w.T.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(w.T.Context(), testworld.Patience)
	defer cancel()
	plan, err := b.Begin(ctx, 0)
	if err != nil {
		w.T.Fatal(err)
	}
	if err := b.Run(ctx, plan.Number, lines.Work{Processor: testworld.Config(), Sink: sink.DefaultConfig()}); err != nil {
		w.T.Fatal(err)
	}
	return plan.Number
}

// lines are those of a file with that stream, for a command.
func (w *world) lines(s pipeline.Stream) *swap.Lines {
	w.T.Helper()
	x, err := swap.Open(w.Of(s), "s", w.Env("command"))
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(x.Close)
	x.Told = func(text string) { w.T.Log(text) }
	return x
}
