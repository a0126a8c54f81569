package lines_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testworld"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics/control"
)

// builder builds lines with a file of that stream.
func (w *world) builder(s pipeline.Stream, name string) *lines.Builder {
	w.T.Helper()
	b, err := lines.Open(w.Of(s), "s", w.Env(name))
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(b.Close)
	return b
}

// work is how tests take part: they write only where no process does, since a SQLite file has one writer.
func work(writes bool) lines.Work {
	return lines.Work{Processor: testworld.Config(), Sink: sink.DefaultConfig(), Writes: writes}
}

// build begins a line, and returns its number and what it takes to take part in it.
func (w *world) build(b *lines.Builder, writes bool) (run func(ctx context.Context) error) {
	w.T.Helper()
	plan, err := b.Begin(w.T.Context(), 0)
	if err != nil {
		w.T.Fatal(err)
	}
	return func(ctx context.Context) error { return b.Run(ctx, plan.Number, work(writes)) }
}

// built runs what build returned to its end.
func (w *world) built(run func(context.Context) error) {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(w.T.Context(), testworld.Patience)
	defer cancel()
	if err := run(ctx); err != nil {
		w.T.Fatal(err)
	}
	if l := w.Decided().Line(2); l == nil || l.State != control.LineBuilding || l.BuiltAt.IsZero() {
		w.T.Fatalf("the line is %+v", l)
	}
}

// TestShadow builds a line with other keys and columns beside a process that runs, while records come. The process
// takes it up without a restart, and goes on with it when it is built; the live table is what it was all the time, and
// the line's ends as a fresh run.
func TestShadow(t *testing.T) {
	w := newWorld(t, 3)
	w.Process(before, "live")
	w.Write(testworld.Some(0, 500)...)
	w.Becomes("t", logicBefore)
	stop := w.Traffic(500)
	w.built(w.build(w.builder(after, "builder"), false))
	stop()
	w.Write(testworld.Some(0, 100)...)
	w.Becomes("t", logicBefore)
	w.Becomes("t__g2", logicAfter)
	s := w.Decided()
	if len(s.Generations) != 1 || s.LiveNumber() != control.BaseLine || s.Line(1).State != control.LineLive {
		t.Errorf("the live line is %+v", s)
	}
}

// TestShadowAlone: a builder fills a line where no stage runs. What comes later the stages bring, when they run.
func TestShadowAlone(t *testing.T) {
	w := newWorld(t, 2)
	stop, _ := w.Process(before, "live")
	w.Write(testworld.Some(0, 400)...)
	w.Becomes("t", logicBefore)
	stop()
	w.Write(testworld.Some(400, 100)...)
	w.built(w.build(w.builder(after, "builder"), true))
	w.Becomes("t__g2", logicAfter)
	w.Write(testworld.Some(500, 100)...)
	w.Process(before, "live")
	w.Becomes("t__g2", logicAfter)
	w.Becomes("t", logicBefore)
}

// TestShadowStopped: builder and process are stopped at any moment while a line is built, and go on where it was; the
// file that the process is started with again has the line's logic by then, which does not become that of the table
// that is read.
func TestShadowStopped(t *testing.T) {
	w := newWorld(t, 3)
	stop, _ := w.Process(before, "live")
	w.Write(testworld.Some(0, 600)...)
	w.Becomes("t", logicBefore)
	still := w.Traffic(600)
	run := w.build(w.builder(after, "builder"), false)
	for i := range 6 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(100+400*i)*time.Millisecond)
		if err := run(ctx); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		cancel()
		if i%2 == 1 {
			stop()
			stop, _ = w.Process([]pipeline.Stream{before, after}[i/2%2], "live")
		}
	}
	stop()
	_, health := w.Process(after, "live")
	w.built(run)
	still()
	w.Becomes("t", logicBefore)
	w.Becomes("t__g2", logicAfter)
	testkit.Eventually(t, testworld.Patience, func() error {
		if told := health.Degraded()["processor s"]; !strings.Contains(told, "the logic of line 2, which is built beside the live one") ||
			!strings.Contains(told, "millrace replay swap shop.yaml s") {
			return fmt.Errorf("health says %q", told)
		}
		return nil
	})
	if s := w.Decided(); len(s.Generations) != 1 {
		t.Errorf("the live line has generations %+v", s.Generations)
	}
}

// TestShadowByTwoProcesses: two processes share the lines, as they share the stream, and one takes over what the other
// leaves.
func TestShadowByTwoProcesses(t *testing.T) {
	w := newWorld(t, 4)
	w.Process(before, "one")
	stop, _ := w.Process(before, "two")
	w.Write(testworld.Some(0, 500)...)
	w.Becomes("t", logicBefore)
	still := w.Traffic(500)
	run := w.build(w.builder(after, "builder"), false)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	if err := run(ctx); err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	cancel()
	stop()
	w.built(run)
	still()
	w.Becomes("t__g2", logicAfter)
	w.Becomes("t", logicBefore)
}

// TestShadowRefused: what cannot be built is refused, with the reason, and nothing is decided.
func TestShadowRefused(t *testing.T) {
	w := newWorld(t, 1)
	refused := func(s pipeline.Stream, want string) {
		t.Helper()
		_, err := w.builder(s, "builder").Begin(t.Context(), 0)
		if refused, ok := errors.AsType[*lines.RefusedError](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q (%v)", err, want, refused)
		}
	}
	refused(after, "start one")
	stop, _ := w.Process(before, "live")
	w.Write(testworld.Some(0, 20)...)
	w.Becomes("t", logicBefore)
	stop()
	refused(before, "the live one already. To process the records again by it, in place: millrace replay shop.yaml s")
	other := logicBefore.Stream()
	other.Ingest.Key = []string{"n"}
	refused(other, "another ingest.key")
	other = after
	other.Sink.Table = "u"
	refused(other, "another table")
	if _, err := w.DB.ExecContext(t.Context(), "CREATE TABLE t__g2 (id INTEGER)"); err != nil {
		t.Fatal(err)
	}
	refused(after, "the database has a table t__g2")
	if s := w.Decided(); len(s.Lines) != 0 || s.NextLine != 0 {
		t.Errorf("decided: %+v", s.Lines)
	}
	if _, err := w.DB.ExecContext(t.Context(), "DROP TABLE t__g2"); err != nil {
		t.Fatal(err)
	}
	w.build(w.builder(after, "builder"), false)
	other = after
	other.Process = append([]pipeline.Step{{Filter: &pipeline.Filter{If: "true"}}}, after.Process...)
	refused(other, "line 2 is being built, begun by builder")
	if _, err := w.builder(after, "builder").Begin(t.Context(), 50); err != nil || w.Decided().Line(2).Rate != 50 {
		t.Errorf("%v; the line is %+v", err, w.Decided().Line(2))
	}
}

// TestShadowOfALogicThatIsLive: a process was started with the edited file before the shadow was begun, which made its
// logic live.
func TestShadowOfALogicThatIsLive(t *testing.T) {
	w := newWorld(t, 1)
	stop, _ := w.Process(before, "live")
	w.Write(testworld.Some(0, 20)...)
	w.Becomes("t", logicBefore)
	stop()
	edited := testworld.Logic{Refuses: "void", By: 3}.Stream()
	w.Process(edited, "eager")
	testkit.Eventually(t, testworld.Patience, func() error {
		_, err := w.builder(edited, "builder").Preview(t.Context())
		if err == nil || !strings.Contains(err.Error(), "the live one already, since ") || !strings.Contains(err.Error(), "when eager began with this file") {
			return fmt.Errorf("%w: want that it is live", err)
		}
		return nil
	})
}

// TestMakingIsRepeated: whoever finds what another has left of a line's table makes it again. A table with rows is
// somebody's, and stays.
func TestMakingIsRepeated(t *testing.T) {
	w := newWorld(t, 1)
	w.Process(before, "live")
	w.Write(testworld.Some(0, 50)...)
	w.Becomes("t", logicBefore)
	run := w.build(w.builder(after, "one"), false)
	exec := func(statement string) {
		t.Helper()
		if _, err := w.DB.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE t__g2 (id INTEGER)")
	exec("INSERT INTO t__g2 VALUES (1)")
	if err := run(t.Context()); err == nil || !strings.Contains(err.Error(), "a table of this name with rows") || !strings.Contains(err.Error(), "replay drop") {
		t.Fatalf("%v", err)
	}
	if state := w.Decided().Line(2).State; state != control.LineMaking {
		t.Errorf("the line is %s", state)
	}
	exec("DELETE FROM t__g2")
	w.built(run)
	w.Becomes("t__g2", logicAfter)
}

// TestRateIsChanged: a second command sets the rate of the line that is built, in all that take part.
func TestRateIsChanged(t *testing.T) {
	w := newWorld(t, 2)
	w.Process(before, "live")
	w.Write(testworld.Some(0, 300)...)
	w.Becomes("t", logicBefore)
	b := w.builder(after, "one")
	plan, err := b.Begin(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testworld.Patience)
	defer cancel()
	ended := make(chan error, 1) // one send, so that it never waits
	go func() { ended <- b.Run(ctx, plan.Number, work(false)) }()
	testkit.Eventually(t, testworld.Patience, func() error {
		if l := w.Decided().Line(2); l.State != control.LineBuilding || l.Rate != 1 {
			return fmt.Errorf("the line is %+v", l)
		}
		return nil
	})
	if plan, err = w.builder(after, "two").Begin(t.Context(), 0); err != nil || !plan.Goes { // no limit
		t.Fatalf("%+v, %v", plan, err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	w.Becomes("t__g2", logicAfter)
}

// TestFileOfAShadow: a logic with the keys and the columns of the live table, which a process that is started with it
// would make live at once, stays that of its line, also when the line was dropped.
func TestFileOfAShadow(t *testing.T) {
	w := newWorld(t, 2)
	stop, _ := w.Process(before, "live")
	w.Write(testworld.Some(0, 200)...)
	w.Becomes("t", logicBefore)
	logic := testworld.Logic{Refuses: "draft", By: 3}
	thrice := logic.Stream()
	w.built(w.build(w.builder(thrice, "builder"), false))
	stop()
	stop, health := w.Process(thrice, "live")
	w.Write(testworld.Some(200, 200)...)
	w.Becomes("t", logicBefore)
	w.Becomes("t__g2", logic)
	told := func(what string) {
		t.Helper()
		testkit.Eventually(t, testworld.Patience, func() error {
			if text := health.Degraded()["processor s"]; !strings.Contains(text, what) {
				return fmt.Errorf("health says %q, want %q", text, what)
			}
			return nil
		})
	}
	told("the logic of line 2, which is built beside the live one")
	cfg := control.Config{Pipeline: w.Name, Who: "test", Client: w.Env("test").Kafka}
	if _, err := control.Change(t.Context(), cfg, "s", func(s *control.Stream) error { s.Line(2).State = control.LineDropped; return nil }); err != nil {
		t.Fatal(err)
	}
	told("the logic of line 2, which is dropped")
	stop()
	w.Process(thrice, "live")
	w.Write(testworld.Some(400, 100)...)
	w.Becomes("t", logicBefore)
	if s := w.Decided(); len(s.Generations) != 1 {
		t.Errorf("the live line has generations %+v", s.Generations)
	}
}
