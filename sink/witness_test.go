package sink

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// heard is what the check of all witnesses says: empty, if all is there.
func (f *fixture) heard() string {
	f.t.Helper()
	err := f.store.testimony(f.t.Context(), topic, f.table)
	if misfit, ok := errors.AsType[*TableError](err); ok {
		return misfit.Error()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return ""
}

func (f *fixture) runs(statements ...string) {
	f.t.Helper()
	for _, s := range statements {
		if _, err := f.store.db.Exec(s); err != nil {
			f.t.Fatalf("%s: %v", s, err)
		}
	}
}

// witnesses is what every database must tell of rows that are gone.
func witnesses(t *testing.T, open func(t *testing.T) *pipeline.Pipeline) {
	loses := func(t *testing.T, f *fixture, says string) {
		t.Helper()
		if got := f.heard(); !strings.Contains(got, says) || !strings.Contains(got, "millrace replay FILE s") {
			t.Errorf("%q, want that it says %q, and what to do", got, says)
		}
	}
	fine := func(t *testing.T, f *fixture) {
		t.Helper()
		if got := f.heard(); got != "" {
			t.Error(got)
		}
	}
	t.Run("ARowThatIsGone", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		fine(t, f)
		f.apply(event{0, 0, "a", row(1)}, event{1, 0, "b", row(1)})
		fine(t, f)
		f.runs("DELETE FROM things WHERE id = 'a'") // not the witness: it cannot be known
		fine(t, f)
		f.runs("DELETE FROM things WHERE id = 'b'")
		loses(t, f, `the row with the key "b" is not there`)
		f.apply(event{2, 0, "c", row(1)})
		fine(t, f)
	})
	t.Run("ARowThatIsOlder", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		f.apply(event{0, 0, "a", row(1)})
		f.runs("CREATE TABLE copied AS SELECT * FROM things")
		f.apply(event{1, 0, "a", row(2)})
		f.runs("DELETE FROM things", "INSERT INTO things SELECT * FROM copied")
		loses(t, f, `the row with the key "a" is older`)
		f.must(2, 1, 0) // which does not put it right
		loses(t, f, `the row with the key "a" is older`)
	})
	t.Run("WhatTheSinkRemovedIsNotMissed", func(t *testing.T) {
		for _, versioned := range []bool{false, true} {
			f := newFixture(t, open(t), versioned)
			f.apply(event{0, 1, "a", row(1)}, event{1, 1, "b", row(1)})
			f.apply(event{2, 2, "b", nil})
			f.runs("DELETE FROM millrace_marks") // they age
			fine(t, f)
			f.apply(event{3, 3, "b", row(3)}, event{4, 4, "b", nil})
			fine(t, f)
			f.apply(event{5, 5, "c", row(3)}, event{6, 6, "a", nil})
			f.claim = f.newClaim() // another process knows only what is in the database
			f.apply(event{7, 7, "c", nil})
			f.runs("DELETE FROM millrace_marks")
			fine(t, f)
			f.want(map[string]string{})
		}
	})
	t.Run("WhatAMarkKeptOutIsNotMissed", func(t *testing.T) {
		f := newFixture(t, open(t), true)
		f.apply(event{0, 9, "a", nil})
		f.apply(event{1, 8, "a", row(8)})
		fine(t, f)
		f.runs("DELETE FROM millrace_marks")
		fine(t, f)
	})
	t.Run("ARedoAcceptsTheTable", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		f.apply(event{1, 0, "a", row(1)})
		f.runs("DELETE FROM things")
		loses(t, f, "is not there")
		f.mark(f.admin(), true)
		fine(t, f)
		f.claim = f.newClaim()
		f.apply(event{1, 0, "a", row(1)})
		f.runs("DELETE FROM things")
		f.mark(f.admin(), true) // it goes on, and is no other
		f.claim = f.newClaim()
		f.apply(event{2, 0, "b", row(1)})
		f.runs("DROP TABLE things")
		if err := f.store.prepareTable(t.Context(), topic, f.table); err == nil || !strings.Contains(err.Error(), `the row with the key "b" is not there`) {
			t.Errorf("%v: the table that was made in its place is taken for it", err)
		}
	})
	t.Run("ATableThatIsNotThereIsMadeByARedo", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		f.apply(event{0, 0, "a", row(1)})
		f.runs("DROP TABLE things")
		err := f.store.prepareTable(t.Context(), topic, f.table)
		if err == nil || !strings.Contains(err.Error(), "it is not there") || !strings.Contains(err.Error(), "millrace replay FILE s") {
			t.Errorf("%v", err)
		}
		f.mark(f.admin(), true)
		if err := f.store.prepareTable(t.Context(), topic, f.table); err != nil {
			t.Fatal(err)
		}
		f.claim = f.newClaim()
		f.apply(event{0, 0, "a", row(1)})
		f.want(map[string]string{"a": "1"})
	})
	t.Run("RowsOfAnOlderRawTopicThatASweepDeletes", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		f.apply(event{1, 0, "a", row(1)})
		f.must(2, 1, 0)
		if n, err := f.admin().DeleteOlder(t.Context(), "s", &control.Stream{}); err != nil || n != 1 {
			t.Errorf("%d rows deleted, %v", n, err)
		}
		fine(t, f)
	})
	t.Run("RowsOfARawTopicThatWasGivenMorePartitions", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		f.apply(event{1, 0, "a", row(1)})
		grown := &control.Stream{Epochs: []control.Epoch{{RawTopicID: "aa"}, {Number: 1, RawTopicID: "aa"}, {Number: 2, RawTopicID: "aa"}}}
		if n, err := f.admin().DeleteOlder(t.Context(), "s", grown); err != nil || n != 0 {
			t.Errorf("%d rows deleted, %v", n, err)
		}
		recreated := &control.Stream{Epochs: append(slices.Clone(grown.Epochs), control.Epoch{Number: 3, RawTopicID: "bb"})}
		if n, err := f.admin().DeleteOlder(t.Context(), "s", recreated); err != nil || n != 1 {
			t.Errorf("%d rows deleted, %v", n, err)
		}
	})
	t.Run("OddKeys", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		for i, key := range []string{"q'\"\\", "漢 ", "\x00%", strings.Repeat("k", 20)} {
			f.apply(event{int64(i) + 1, 0, key, row(1)})
			f.claim = f.newClaim()
			if w := f.claim.witness.Load(); w == nil || w.version.Offset() != int64(i)+1 {
				t.Fatalf("%q: the claim has the witness %v", key, w)
			}
			fine(t, f)
			if f.runs("DELETE FROM things"); f.heard() == "" {
				t.Errorf("%q is not missed", key)
			}
		}
		f.runs("UPDATE millrace_offsets SET witness = X'00'")
		fine(t, f)
		f.runs("UPDATE millrace_offsets SET witness = X'" + strings.Repeat("ff", 60) + "'")
		fine(t, f)
	})
	t.Run("KeysThatTheDatabaseMayChange", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		f.table.Findable = false
		f.apply(event{0, 0, "a", row(1)})
		if w := f.claim.witness.Load(); w != nil {
			t.Errorf("it has the witness %s", w)
		}
	})
}

// TestLostRowsWhileASinkRuns: it notices within seconds, is not ready, and goes on when a redo begins.
func TestLostRowsWhileASinkRuns(t *testing.T) { lostRows(t, onSQLite) }

func lostRows(t *testing.T, open func(t *testing.T) *pipeline.Pipeline) {
	t.Helper()
	empty := "DELETE FROM things"
	if p := open(t); !p.Database.Embedded {
		empty = "TRUNCATE TABLE things"
	}
	rename := func(from, to string) string { return fmt.Sprintf("ALTER TABLE %s RENAME TO %s", from, to) }
	for name, c := range map[string]struct {
		lose []string
		says string
	}{
		"emptied":        {[]string{empty}, "is not there, though it was written"},
		"by hand":        {[]string{"DELETE FROM things WHERE n = 2"}, "is not there, though it was written"},
		"dropped":        {[]string{"DROP TABLE things"}, "stream s: table things: it is not there, though records of p.s.processed were written to it"},
		"restored alone": {[]string{rename("things", "lost"), rename("backup", "things")}, "the row with the key"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, open(t))
			r := w.start("one", nil)
			db := w.db()
			old := []string{"a", "b", "c"}
			for _, key := range old {
				w.send(w.record(key, 1))
			}
			w.caughtUp(db, 2*time.Minute)
			create, err := newDialect(w.pipeline)
			if err != nil {
				t.Fatal(err)
			}
			copied := *r.sink.tables.of(topics.Processed("p", "s"))
			copied.Name = "backup"
			for _, statement := range []string{create.CreateTable(&copied), "INSERT INTO backup SELECT * FROM things"} {
				if _, err := db.Exec(statement); err != nil {
					t.Fatal(err)
				}
			}
			for _, key := range old {
				w.send(w.record(key, 2))
			}
			w.caughtUp(db, 2*time.Minute)
			r.ready(t)
			a, err := OpenAdmin(w.pipeline)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			if err := a.Whole(t.Context(), "s"); err != nil {
				t.Errorf("nothing is lost yet: %v", err)
			}
			for _, statement := range c.lose {
				if _, err := db.Exec(statement); err != nil {
					t.Fatal(err)
				}
			}
			r.waits(t, c.says, "millrace replay FILE s")
			var lost *TableError
			if err := a.Whole(t.Context(), "s"); !errors.As(err, &lost) || !strings.Contains(err.Error(), strings.TrimPrefix(c.says, "stream s: ")) {
				t.Errorf("asked beside the sink: %v", err)
			}
			w.send(w.record("later", 1))
			if err := a.SetMarking(t.Context(), "s", 2, true); err != nil {
				t.Fatal(err)
			}
			w.redo(old...)
			testkit.Eventually(t, 2*time.Minute, func() error {
				var n int
				if err := db.QueryRow("SELECT COUNT(*) FROM things WHERE n = 2 OR id = 'later'").Scan(&n); err != nil || n != 4 {
					return errors.Join(err, fmt.Errorf("%d rows", n))
				}
				return nil
			})
			r.ready(t)
		})
	}
}

// redo sends the records of keys again, in a higher generation, each with value 2.
func (w *world) redo(keys ...string) {
	w.t.Helper()
	for _, key := range keys {
		partition := topics.Partition([]byte(key), w.pipeline.Kafka.Partitions)
		offset, after := w.offsets[key], w.raw[partition]
		r := w.record(key, 2)
		v := topics.NewVersion(0, 0, offset, 2)
		r.Headers[0].Value = v[:]
		w.raw[partition], w.offsets[key] = after, offset
		w.send(r)
	}
}
