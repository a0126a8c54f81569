package lines_test

import (
	"testing"

	"github.com/millrace-io/millrace/internal/testworld"
	"github.com/millrace-io/millrace/pipeline"
)

// The logics before and after an edit of the file: with other keys, and other columns.
var (
	logicBefore = testworld.Logic{Refuses: "draft", By: 2}
	logicAfter  = testworld.Logic{Refuses: "void", By: 3, Code: true, Status: "text"}
)

var before, after = logicBefore.Stream(), logicAfter.Stream()

// world is a world whose lines are built.
type world struct{ *testworld.World }

func newWorld(t testing.TB, partitions int32) *world {
	t.Helper()
	return &world{testworld.New(t, before, partitions)}
}

// stages runs a processor and a sink of p until stop is called.
func (w *world) stages(p *pipeline.Pipeline, name string) (stop func()) {
	w.T.Helper()
	stops := []func(){w.Processor(p, w.Env(name)), w.Sink(p, w.Env(name))}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}
