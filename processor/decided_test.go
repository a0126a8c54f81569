package processor_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

func decisions(c servers) control.Config {
	return control.Config{Pipeline: "p", Who: "test", Client: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}}
}

// decide changes what is decided about the stream s.
func decide(t testing.TB, c servers, f func(*control.Stream)) {
	t.Helper()
	if _, err := control.Change(t.Context(), decisions(c), "s", func(s *control.Stream) error { f(s); return nil }); err != nil {
		t.Fatal(err)
	}
}

// decided is what is decided about the stream s.
func decided(t testing.TB, c servers) control.Stream {
	t.Helper()
	s, err := control.Change(t.Context(), decisions(c), "s", func(*control.Stream) error { return control.ErrUnchanged })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// told is an environment with a log that can be read.
func told(t testing.TB, c servers, instance string) (stage.Env, *testkit.Buffer) {
	t.Helper()
	var log testkit.Buffer
	e := env(t, c, instance)
	e.Log = slog.New(slog.NewTextHandler(&log, nil))
	return e, &log
}

// versions counts the processed records by epoch and generation.
func versions(t testing.TB, c servers, p *pipeline.Pipeline) map[[2]uint16]int {
	t.Helper()
	counts := map[[2]uint16]int{}
	for _, r := range testkit.Records(t, c.ListenAddrs(), processed(p)) {
		header, _ := topics.Header(r, topics.HeaderVersion)
		v, err := topics.ParseVersion(header)
		if err != nil {
			t.Fatal(err)
		}
		counts[[2]uint16{v.Epoch(), v.Generation()}]++
	}
	return counts
}

// other is shop with another logic.
func other(partitions int32) *pipeline.Pipeline {
	p := shop(partitions)
	p.Streams[0].Process[1].Map[1].Expr = "n * 3"
	return p
}

// rows are n raw records that are processed to rows.
func rows(n int) []*kgo.Record {
	var out []*kgo.Record
	for i := range n {
		id := string(rune('0' + i%10))
		out = append(out, &kgo.Record{Key: []byte(id), Value: []byte(`{"id":` + id + `,"n":1,"status":"ok"}`), Partition: int32(i % 2)})
	}
	return out
}

// TestOtherLogic: a file with another logic is a new generation, which is told with what to do next. A process with the
// old file runs the new logic, and says so.
func TestOtherLogic(t *testing.T) {
	p := shop(2)
	c, cl := cluster(t, p)
	stop := run(t, p, quick(), env(t, c, "a"))
	produce(t, cl, p, rows(20)...)
	settled(t, cl, p)
	old, oldLog := told(t, c, "b")
	run(t, p, quick(), old) // stays
	stop()
	e, log := told(t, c, "a")
	stop = run(t, other(2), quick(), e)
	testkit.Eventually(t, 2*time.Minute, testkit.That("the old file is told", func() bool {
		return strings.Contains(old.Health.Degraded()["processor s"], "older logic of the stream: generation 2 is live")
	}))
	for range 10 {
		produce(t, cl, p, rows(20)...)
		settled(t, cl, p)
	}
	if got := versions(t, c, p); got[[2]uint16{0, 1}] != 20 || got[[2]uint16{0, 2}] != 200 {
		t.Errorf("records by epoch and generation: %v", got)
	}
	for _, want := range []string{"another logic", "generation=2", `what_would_change="millrace replay FILE s --dry-run"`, `next="millrace replay FILE s"`} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("the log lacks %s:\n%s", want, log.String())
		}
	}
	if n := strings.Count(oldLog.String(), "older logic of the stream"); n != 1 || !strings.Contains(oldLog.String(), "millrace replay FILE s") {
		t.Errorf("an old file was told %d times:\n%s", n, oldLog.String())
	}
	if strings.Contains(oldLog.String(), "--instance") {
		t.Errorf("a fence was taken for a twin:\n%s", oldLog.String())
	}
	stop()
	for _, r := range testkit.Records(t, c.ListenAddrs(), processed(p)) {
		header, _ := topics.Header(r, topics.HeaderVersion)
		if v, _ := topics.ParseVersion(header); (v.Generation() == 2) != strings.Contains(string(r.Value), `"n":3`) {
			t.Fatalf("a row of generation %d: %s", v.Generation(), r.Value)
		}
	}
	if s := decided(t, c); len(s.Generations) != 2 || s.Live != 2 || s.Generations[0].Definition != "" {
		t.Errorf("decided: %+v", s)
	}
}

// TestOtherKeyStands: a file that gives raw keys other rows of the same table is not run; other streams are.
func TestOtherKeyStands(t *testing.T) {
	p := shop(2)
	second := p.Streams[0]
	second.Name, second.Sink.Table = "s2", "t2"
	p.Streams = append(p.Streams, second)
	c, cl := cluster(t, p)
	stop := run(t, p, quick(), env(t, c, "a"))
	testkit.Eventually(t, 2*time.Minute, testkit.That("known", func() bool { return decided(t, c).Live == 1 }))
	stop()
	wrong := *p
	wrong.Streams = append([]pipeline.Stream{}, p.Streams...)
	wrong.Streams[0] = other(2).Streams[0]
	wrong.Streams[0].Process[1].Map[0].Expr = "id + 1"
	e := env(t, c, "a")
	run(t, &wrong, quick(), e)
	produce(t, cl, p, rows(10)...)
	for _, r := range rows(10) {
		r.Topic = "p.s2.raw"
		produce(t, cl, p, r)
	}
	testkit.Await(t, c.ListenAddrs(), 10, "p.s2.processed")
	if text := e.Health.Degraded()["processor s"]; !strings.Contains(text, "another sink.table, then: millrace replay FILE s") {
		t.Errorf("told: %q", text)
	}
	if n := len(testkit.Records(t, c.ListenAddrs(), processed(p))); n > 0 {
		t.Errorf("%d records were processed", n)
	}
}

// TestPaused: a stream stands, over a restart too, and another goes on; resumed, it goes on where it was.
func TestPaused(t *testing.T) {
	p := shop(2)
	c, cl := cluster(t, p)
	e := env(t, c, "a")
	stop := run(t, p, quick(), e)
	produce(t, cl, p, rows(10)...)
	settled(t, cl, p)
	decide(t, c, func(s *control.Stream) {
		s.Paused = map[string]control.Pause{"processor": {At: time.Now(), By: "op", Why: "migration"}}
	})
	paused := func(e stage.Env) func() error {
		return testkit.That("a notice", func() bool {
			text := e.Health.Degraded()["processor s"]
			return strings.Contains(text, "by op: migration") && strings.Contains(text, "millrace resume FILE s")
		})
	}
	testkit.Eventually(t, 2*time.Minute, paused(e))
	produce(t, cl, p, rows(10)...)
	stop()
	e = env(t, c, "a")
	run(t, p, quick(), e)
	testkit.Eventually(t, 2*time.Minute, paused(e))
	if n := len(testkit.Records(t, c.ListenAddrs(), processed(p))); n != 10 {
		t.Errorf("%d records were processed, want 10", n)
	}
	decide(t, c, func(s *control.Stream) { s.Paused = nil })
	settled(t, cl, p)
	testkit.Await(t, c.ListenAddrs(), 20, processed(p))
}

// TestGroupMovedByATool: the stream stands and says so, instead of leaving records without an outcome; once it is
// answered from where to go on, each has one.
func TestGroupMovedByATool(t *testing.T) {
	p := shop(2)
	c, cl := cluster(t, p)
	adm := kadm.NewClient(cl)
	stop := run(t, p, quick(), env(t, c, "a"))
	produce(t, cl, p, rows(40)...)
	settled(t, cl, p)
	stop()
	before, err := adm.FetchOffsets(t.Context(), topics.ProcessorGroup(p.Name))
	if err != nil {
		t.Fatal(err)
	}
	produce(t, cl, p, rows(40)...)
	ends, err := adm.ListEndOffsets(t.Context(), raw(p))
	if err != nil {
		t.Fatal(err)
	}
	if err := adm.CommitAllOffsets(t.Context(), topics.ProcessorGroup(p.Name), ends.Offsets()); err != nil {
		t.Fatal(err)
	}
	e, log := told(t, c, "a")
	stop = run(t, p, quick(), e)
	testkit.Eventually(t, 2*time.Minute, testkit.That("a notice", func() bool {
		text := e.Health.Degraded()["processor s"]
		return strings.Contains(text, "the positions of the group p.processor were changed by another program") &&
			strings.Contains(text, "millrace recover FILE s")
	}))
	answer := func(s *control.Stream) {
		s.Run, s.Lost = control.Run{Number: s.Run.Number + 1, From: map[int32]int64{}}, nil
		before.Each(func(o kadm.OffsetResponse) { s.Run.From[o.Partition] = o.At })
	}
	decide(t, c, answer)
	testkit.Await(t, c.ListenAddrs(), 80, processed(p))
	testkit.Eventually(t, 2*time.Minute, testkit.That("no notice", func() bool { return e.Health.Degraded()["processor s"] == "" }))
	produce(t, cl, p, rows(40)...)
	settled(t, cl, p)
	stop()
	run(t, p, quick(), env(t, c, "a"))() // goes on from there
	compareRows(t, c, p, 120)
	if n := strings.Count(log.String(), "were changed by another program"); n != 1 {
		t.Errorf("told %d times:\n%s", n, log.String())
	}
}

// compareRows checks that n raw records have one row each.
func compareRows(t testing.TB, c servers, p *pipeline.Pipeline, n int) {
	t.Helper()
	seen := map[[2]int64]bool{}
	for _, r := range testkit.Records(t, c.ListenAddrs(), processed(p)) {
		at := [2]int64{int64(r.Partition), position(t, r)}
		if seen[at] {
			t.Errorf("raw %v has two rows", at)
		}
		seen[at] = true
	}
	if len(seen) != n {
		t.Errorf("%d rows, want %d", len(seen), n)
	}
}
