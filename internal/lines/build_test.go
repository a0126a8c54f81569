package lines_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics/control"
)

// process runs the stages of a file with that stream, and its lines, as a process does, until stop is called.
func (w *world) process(s pipeline.Stream, name string) (stop func(), health *stage.Health) {
	w.t.Helper()
	env := w.env(name)
	p := w.of(s)
	proc, err := processor.New(p, config(), env)
	if err != nil {
		w.t.Fatal(err)
	}
	sunk, err := sink.New(p, sink.DefaultConfig(), env)
	if err != nil {
		w.t.Fatal(err)
	}
	var metrics lines.Metrics
	stops := []func(){
		testkit.Run(w.t, lines.NewRunner("processor", p, env, &metrics, processorOf).Beside(proc.Run)),
		testkit.Run(w.t, lines.NewRunner("sink", p, env, &metrics, sinkOf).Beside(sunk.Run)),
	}
	return func() {
		var all sync.WaitGroup
		for _, stop := range stops {
			all.Go(stop)
		}
		all.Wait()
	}, env.Health
}

func processorOf(p *pipeline.Pipeline, env stage.Env, rate int) (func(context.Context) error, error) {
	cfg := config()
	cfg.Rate = rate
	x, err := processor.New(p, cfg, env)
	if err != nil {
		return nil, err
	}
	return x.Run, nil
}

func sinkOf(p *pipeline.Pipeline, env stage.Env, _ int) (func(context.Context) error, error) {
	x, err := sink.New(p, sink.DefaultConfig(), env)
	if err != nil {
		return nil, err
	}
	return x.Run, nil
}

// builder builds lines with a file of that stream.
func (w *world) builder(s pipeline.Stream, name string) *lines.Builder {
	w.t.Helper()
	b, err := lines.Open(w.of(s), "s", w.env(name))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(b.Close)
	return b
}

// work is how tests take part: they write only where no process does, since a SQLite file has one writer.
func work(writes bool) lines.Work {
	return lines.Work{Processor: config(), Sink: sink.DefaultConfig(), Writes: writes}
}

// build begins a line, and returns its number and what it takes to take part in it.
func (w *world) build(b *lines.Builder, writes bool) (run func(ctx context.Context) error) {
	w.t.Helper()
	plan, err := b.Begin(w.t.Context(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return func(ctx context.Context) error { return b.Run(ctx, plan.Number, work(writes)) }
}

// built runs what build returned to its end.
func (w *world) built(run func(context.Context) error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if err := run(ctx); err != nil {
		w.t.Fatal(err)
	}
	if l := w.decided().Line(2); l == nil || l.State != control.LineBuilding || l.BuiltAt.IsZero() {
		w.t.Fatalf("the line is %+v", l)
	}
}

// traffic writes records until stop is called.
func (w *world) traffic(from int) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	var all sync.WaitGroup
	all.Go(func() {
		for i := from; ctx.Err() == nil; i += 20 {
			w.write(some(i, 20)...)
			testkit.Pause(ctx, 50*time.Millisecond)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		all.Wait()
	})
	w.t.Cleanup(stop)
	return stop
}

// TestShadow builds a line with other keys and columns beside a process that runs, while records come. The process takes it up without
// a restart, and goes on with it when it is built; the live table is what it was all the time, and the line's ends as a fresh run.
func TestShadow(t *testing.T) {
	w := newWorld(t, 3)
	w.process(before, "live")
	w.write(some(0, 500)...)
	w.becomes("t", false)
	stop := w.traffic(500)
	w.built(w.build(w.builder(after, "builder"), false))
	stop()
	w.write(some(0, 100)...)
	w.becomes("t", false)
	w.becomes("t__g2", true)
	s := w.decided()
	if len(s.Generations) != 1 || s.LiveNumber() != control.BaseLine || s.Line(1).State != control.LineLive {
		t.Errorf("the live line is %+v", s)
	}
}

// TestShadowAlone: a builder fills a line where no stage runs. What comes later the stages bring, when they run.
func TestShadowAlone(t *testing.T) {
	w := newWorld(t, 2)
	stop, _ := w.process(before, "live")
	w.write(some(0, 400)...)
	w.becomes("t", false)
	stop()
	w.write(some(400, 100)...)
	w.built(w.build(w.builder(after, "builder"), true))
	w.becomes("t__g2", true)
	w.write(some(500, 100)...)
	w.process(before, "live")
	w.becomes("t__g2", true)
	w.becomes("t", false)
}

// TestShadowStopped: builder and process are stopped at any moment while a line is built, and go on where it was; the file that the process
// is started with again has the line's logic by then, which does not become that of the table that is read.
func TestShadowStopped(t *testing.T) {
	w := newWorld(t, 3)
	stop, _ := w.process(before, "live")
	w.write(some(0, 600)...)
	w.becomes("t", false)
	still := w.traffic(600)
	run := w.build(w.builder(after, "builder"), false)
	for i := range 6 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(100+400*i)*time.Millisecond)
		if err := run(ctx); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		cancel()
		if i%2 == 1 {
			stop()
			stop, _ = w.process([]pipeline.Stream{before, after}[i/2%2], "live")
		}
	}
	stop()
	_, health := w.process(after, "live")
	w.built(run)
	still()
	w.becomes("t", false)
	w.becomes("t__g2", true)
	testkit.Eventually(t, patience, func() error {
		if told := health.Degraded()["processor s"]; !strings.Contains(told, "the logic of line 2, which is built beside the live one") ||
			!strings.Contains(told, "millrace replay swap shop.yaml s") {
			return fmt.Errorf("health says %q", told)
		}
		return nil
	})
	if s := w.decided(); len(s.Generations) != 1 {
		t.Errorf("the live line has generations %+v", s.Generations)
	}
}

// TestShadowByTwoProcesses: two processes share the lines, as they share the stream, and one takes over what the other leaves.
func TestShadowByTwoProcesses(t *testing.T) {
	w := newWorld(t, 4)
	w.process(before, "one")
	stop, _ := w.process(before, "two")
	w.write(some(0, 500)...)
	w.becomes("t", false)
	still := w.traffic(500)
	run := w.build(w.builder(after, "builder"), false)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	if err := run(ctx); err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	cancel()
	stop()
	w.built(run)
	still()
	w.becomes("t__g2", true)
	w.becomes("t", false)
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
	stop, _ := w.process(before, "live")
	w.write(some(0, 20)...)
	w.becomes("t", false)
	stop()
	refused(before, "the live one already. To process the records again by it, in place: millrace replay shop.yaml s")
	other := stream("n", "true", map[string]string{"n": "n"}, "n bigint key")
	refused(other, "another ingest.key")
	other = after
	other.Sink.Table = "u"
	refused(other, "another table")
	if _, err := w.db.ExecContext(t.Context(), "CREATE TABLE t__g2 (id INTEGER)"); err != nil {
		t.Fatal(err)
	}
	refused(after, "the database has a table t__g2")
	if s := w.decided(); len(s.Lines) != 0 || s.NextLine != 0 {
		t.Errorf("decided: %+v", s.Lines)
	}
	if _, err := w.db.ExecContext(t.Context(), "DROP TABLE t__g2"); err != nil {
		t.Fatal(err)
	}
	w.build(w.builder(after, "builder"), false)
	other = after
	other.Process = append([]pipeline.Step{{Filter: &pipeline.Filter{If: "true"}}}, after.Process...)
	refused(other, "line 2 is being built, begun by builder")
	if _, err := w.builder(after, "builder").Begin(t.Context(), 50); err != nil || w.decided().Line(2).Rate != 50 {
		t.Errorf("%v; the line is %+v", err, w.decided().Line(2))
	}
}

// TestShadowOfALogicThatIsLive: a process was started with the edited file before the shadow was begun, which made its logic live.
func TestShadowOfALogicThatIsLive(t *testing.T) {
	w := newWorld(t, 1)
	stop, _ := w.process(before, "live")
	w.write(some(0, 20)...)
	w.becomes("t", false)
	stop()
	edited := stream("id", `status != "void"`, map[string]string{"id": "id", "n": "n * 3"}, "id bigint key", "n bigint")
	w.process(edited, "eager")
	testkit.Eventually(t, patience, func() error {
		_, err := w.builder(edited, "builder").Preview(t.Context())
		if err == nil || !strings.Contains(err.Error(), "the live one already, since ") || !strings.Contains(err.Error(), "when eager began with this file") {
			return fmt.Errorf("%w: want that it is live", err)
		}
		return nil
	})
}

// TestMakingIsRepeated: whoever finds what another has left of a line's table makes it again. A table with rows is somebody's, and stays.
func TestMakingIsRepeated(t *testing.T) {
	w := newWorld(t, 1)
	w.process(before, "live")
	w.write(some(0, 50)...)
	w.becomes("t", false)
	run := w.build(w.builder(after, "one"), false)
	exec := func(statement string) {
		t.Helper()
		if _, err := w.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE t__g2 (id INTEGER)")
	exec("INSERT INTO t__g2 VALUES (1)")
	if err := run(t.Context()); err == nil || !strings.Contains(err.Error(), "a table of this name with rows") || !strings.Contains(err.Error(), "replay drop") {
		t.Fatalf("%v", err)
	}
	if state := w.decided().Line(2).State; state != control.LineMaking {
		t.Errorf("the line is %s", state)
	}
	exec("DELETE FROM t__g2")
	w.built(run)
	w.becomes("t__g2", true)
}

// TestRateIsChanged: a second command sets the rate of the line that is built, in all that take part.
func TestRateIsChanged(t *testing.T) {
	w := newWorld(t, 2)
	w.process(before, "live")
	w.write(some(0, 300)...)
	w.becomes("t", false)
	b := w.builder(after, "one")
	plan, err := b.Begin(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1) // one send, so that it never waits
	go func() { ended <- b.Run(ctx, plan.Number, work(false)) }()
	testkit.Eventually(t, patience, func() error {
		if l := w.decided().Line(2); l.State != control.LineBuilding || l.Rate != 1 {
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
	w.becomes("t__g2", true)
}

// TestFileOfAShadow: a logic with the keys and the columns of the live table, which a process that is started with it would make live at
// once, stays that of its line, also when the line was dropped.
func TestFileOfAShadow(t *testing.T) {
	w := newWorld(t, 2)
	stop, _ := w.process(before, "live")
	w.write(some(0, 200)...)
	w.becomes("t", false)
	thrice := stream("id", `status != "draft"`, map[string]string{"id": "id", "n": "n * 3"}, "id bigint key", "n bigint")
	w.built(w.build(w.builder(thrice, "builder"), false))
	stop()
	stop, health := w.process(thrice, "live")
	w.write(some(200, 200)...)
	w.becomes("t", false)
	want := w.fresh(false)
	for key, n := range want {
		twice, _ := strconv.Atoi(n)
		want[key] = strconv.Itoa(twice / 2 * 3)
	}
	testkit.Eventually(t, patience, func() error {
		got, err := w.read("t__g2")
		if err == nil && !maps.Equal(got, want) {
			err = fmt.Errorf("the line has %v, want %v", got, want)
		}
		return err
	})
	told := func(what string) {
		t.Helper()
		testkit.Eventually(t, patience, func() error {
			if text := health.Degraded()["processor s"]; !strings.Contains(text, what) {
				return fmt.Errorf("health says %q, want %q", text, what)
			}
			return nil
		})
	}
	told("the logic of line 2, which is built beside the live one")
	cfg := control.Config{Pipeline: w.name, Who: "test", Client: w.env("test").Kafka}
	if _, err := control.Change(t.Context(), cfg, "s", func(s *control.Stream) error { s.Line(2).State = control.LineDropped; return nil }); err != nil {
		t.Fatal(err)
	}
	told("the logic of line 2, which is dropped")
	stop()
	w.process(thrice, "live")
	w.write(some(400, 100)...)
	w.becomes("t", false)
	if s := w.decided(); len(s.Generations) != 1 {
		t.Errorf("the live line has generations %+v", s.Generations)
	}
}
