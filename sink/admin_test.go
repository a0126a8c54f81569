package sink

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/rows"
)

// admin is one beside the fixture's sink.
func (f *fixture) admin() *Admin {
	f.t.Helper()
	p := *f.pipeline
	p.Streams = []pipeline.Stream{{Name: "s", Sink: things("json")}}
	a, err := OpenAdmin(&p)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(a.Close)
	return a
}

func (f *fixture) mark(a *Admin, on bool) {
	f.t.Helper()
	if err := a.SetMarking(f.t.Context(), "s", 7, on); err != nil {
		f.t.Fatal(err)
	}
	if is, err := a.Marking(f.t.Context(), "s"); err != nil || is != on {
		f.t.Fatalf("marking is %t, %v; want %t", is, err, on)
	}
}

// admins is what a command may change beside a sink.
func admins(t *testing.T, open func(t *testing.T) *pipeline.Pipeline) {
	t.Run("WhileMarkingNoRowComesBack", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		f.apply(event{0, 0, "a", nil}, event{1, 0, "b", row(1)})
		f.mark(f.admin(), true)
		b := newBatch(rows.NewDecoder(), f.job(event{2, 0, "c", nil}))
		var fenced *FencedError
		if _, err := f.writer.apply(t.Context(), b); !errors.As(err, &fenced) || len(fenced.Open) != 1 {
			t.Fatalf("%v, want a FencedError that says that nobody owns the partition", err)
		}
		f.offset--
		f.claim = f.newClaim()
		f.apply(event{2, 0, "c", nil})
		if n := f.marks(); n != 1 {
			t.Errorf("%d marks, want one", n)
		}
		f.apply(event{1, 0, "c", row(666)}, event{0, 0, "a", row(0)}) // a redo of older records
		f.want(map[string]string{"a": "0", "b": "1"})
		f.mark(f.admin(), false)
		f.claim = f.newClaim()
		f.apply(event{3, 0, "d", nil})
		if n := f.marks(); n != 1 {
			t.Errorf("%d marks after the redo, want one", n)
		}
	})
	t.Run("TheEndOfAnOldRedoEndsNoNewOne", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		a := f.admin()
		for _, at := range []struct {
			generation uint16
			on, want   bool
		}{{300, true, true}, {299, false, true}, {299, true, true}, {300, false, false}} {
			if err := a.SetMarking(t.Context(), "s", at.generation, at.on); err != nil {
				t.Fatal(err)
			}
			if is, err := a.Marking(t.Context(), "s"); err != nil || is != at.want {
				t.Errorf("after %v: marking is %t, %v", at, is, err)
			}
		}
	})
	t.Run("PipelinesWithAStreamOfTheSameNameHaveMarksOfTheirOwn", func(t *testing.T) {
		p := open(t)
		f := newFixture(t, p, true)
		f.apply(event{9, 9, "a", nil})
		other := *f.table
		other.Pipeline = "another"
		f.table, f.claim.table = &other, &other
		f.store.upserts[&other] = f.store.dialect.Upsert(&other)
		f.apply(event{1, 1, "a", row(1)})
		f.want(map[string]string{"a": "1"})
		if n := f.marks(); n != 1 {
			t.Errorf("%d marks, want that of the first", n)
		}
	})
	t.Run("NoMarkIsPrunedDuringARedo", func(t *testing.T) {
		f := newFixture(t, open(t), true)
		f.apply(event{0, 9, "a", nil})
		f.store.cfg.MarkRetention = time.Hour
		for _, statement := range []string{
			"UPDATE millrace_marks SET marked_at = '2001-01-01 00:30:00'",
			"INSERT INTO millrace_caught_up (topic, hour) VALUES ('p.s.processed', '2001-01-02 00:00:00'), ('p.s.processed', '2001-01-03 00:00:00')",
		} {
			if _, err := f.store.db.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		f.mark(f.admin(), true)
		if n, err := f.store.prune(t.Context(), topic, f.table); err != nil || n != 0 {
			t.Errorf("pruned %d marks, %v", n, err)
		}
		f.claim = f.newClaim()
		f.apply(event{1, 8, "a", row(8)})
		f.want(map[string]string{})
		f.mark(f.admin(), false)
		if n, err := f.store.prune(t.Context(), topic, f.table); err != nil || n != 1 {
			t.Errorf("pruned %d marks after the redo, %v; want one", n, err)
		}
	})
	t.Run("MarkingOutlivesATopicThatIsRecreated", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		f.mark(f.admin(), true)
		f.must(2, 1, 0)
		if f.apply(event{0, 0, "a", nil}); f.marks() != 1 {
			t.Errorf("%d marks, want one", f.marks())
		}
		g := f.other("q", "s", true) // which takes the table, and not the redo
		g.must(3, 2, 0)
		g.apply(event{0, 0, "b", nil})
		if g.claim.marking || f.marks() != 1 {
			t.Errorf("marking %t, %d marks", g.claim.marking, f.marks())
		}
		wantOwnerError(t, f.admin().SetMarking(t.Context(), "s", 1, true), "the stream s of the pipeline q writes it")
	})
	t.Run("PositionsAreOfWhatWasApplied", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		a := f.admin()
		f.apply(event{7, 0, "a", row(1)})
		f.must(2, 1, 0)
		f.apply(event{3, 0, "a", row(1)}, event{5, 0, "b", row(1)})
		got, err := a.Positions(t.Context(), "s")
		if want := (Position{TopicID: [16]byte{2}, Next: 2, Epoch: 1, Offset: 5, Applied: true}); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
		if _, err := a.Positions(t.Context(), "t"); err == nil {
			t.Error("positions of a stream that is not there")
		}
	})
	t.Run("BeforeAnySinkHasRun", func(t *testing.T) {
		f := fixture{t: t, pipeline: open(t)}
		f.pipeline.Name = "p"
		a := f.admin()
		if got, err := a.Positions(t.Context(), "s"); err != nil || len(got) > 0 {
			t.Errorf("%+v, %v; want none", got, err)
		}
		f.mark(a, true)
		if g := newFixture(t, f.pipeline, false); !g.claim.marking {
			t.Error("the first claim does not know of the redo")
		}
	})
	t.Run("TablesWithoutTheColumn", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		f.apply(event{0, 0, "a", row(1)})
		if _, err := f.store.db.Exec("ALTER TABLE millrace_owners DROP COLUMN marking"); err != nil {
			t.Fatal(err)
		}
		for range 2 { // of which the second finds it
			if err := f.store.prepareOwn(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		f.must(1, 0, 1)
	})
}

// TestAdminBesideAnotherProcess: a command changes the file that a running pipeline has open.
func TestAdminBesideAnotherProcess(t *testing.T) {
	const variable = "MILLRACE_TEST_MARK"
	if dir := os.Getenv(variable); dir != "" {
		f := fixture{t: t, pipeline: &pipeline.Pipeline{Name: "p", DataDir: dir, Database: pipeline.Database{Embedded: true}}}
		f.mark(f.admin(), true)
		return
	}
	dir := t.TempDir()
	f := newFixture(t, &pipeline.Pipeline{DataDir: dir, Database: pipeline.Database{Embedded: true}}, false)
	f.apply(event{0, 0, "a", row(1)})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	other := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestAdminBesideAnotherProcess$", "-test.count=1")
	other.Env = append(os.Environ(), variable+"="+dir)
	if out, err := other.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f.fenced(event{1, 0, "a", row(2)})
	f.offset--
	if f.claim = f.newClaim(); !f.claim.marking || f.claim.next != 1 {
		t.Errorf("marking %t at %d, want true at 1", f.claim.marking, f.claim.next)
	}
}
