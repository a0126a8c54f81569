//go:build integration

package sink

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/sink/rows"
)

// What a table may refuse rows for, beside their values. Parents of notes are p0 to p4; of the rows with an even number
// another table has children, so that they cannot be removed.
const (
	aCheck   = "ALTER TABLE things ADD CHECK (n IS NULL OR n <> 13), ADD CHECK (price IS NULL OR price < 1000)"
	aTrigger = "CREATE TRIGGER t BEFORE INSERT ON things FOR EACH ROW " +
		"IF NEW.n = 7 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no sevens'; END IF"
	anUpdate  = "CREATE TRIGGER u BEFORE UPDATE ON things FOR EACH ROW IF NEW.n = 8 THEN SIGNAL SQLSTATE '45000'; END IF"
	anIndex   = "ALTER TABLE things ADD UNIQUE (price)"
	anotherOn = "ALTER TABLE things ADD UNIQUE (n)"
)

// ofParents has notes refer to another table.
func ofParents(t *testing.T, f *fixture) {
	t.Helper()
	run(t, f.store.db,
		"CREATE TABLE parents (id varchar(10) COLLATE utf8mb4_0900_bin PRIMARY KEY)",
		"INSERT INTO parents VALUES ('p0'), ('p1'), ('p2'), ('p3'), ('p4')",
		"ALTER TABLE things MODIFY note varchar(10) COLLATE utf8mb4_0900_bin, ADD FOREIGN KEY (note) REFERENCES parents (id)")
}

// withChildren keeps some of the rows that are there from being removed.
func withChildren(t *testing.T, f *fixture) {
	t.Helper()
	run(t, f.store.db,
		"CREATE TABLE children (id varchar(20) COLLATE utf8mb4_0900_bin PRIMARY KEY, FOREIGN KEY (id) REFERENCES things (id))",
		"INSERT INTO children SELECT id FROM things WHERE id LIKE '%0' OR id LIKE '%5'")
}

// TestBentFindsWhatTryingFindsInAnyBatch: batches of new rows, updates, older revisions and removals, of tables that
// refuse them for all sorts of things: the same are refused for the same reasons as if each had been tried, and the
// others go in.
func TestBentFindsWhatTryingFindsInAnyBatch(t *testing.T) {
	for name, alter := range map[string][]string{
		"checks":       {aCheck},
		"foreign keys": nil,
		"a trigger":    {aTrigger, anUpdate},
		"indexes":      {anIndex, anotherOn},
		"all":          {aCheck, anIndex, aTrigger, anUpdate},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, onMySQL(t), false)
			f.store.cfg.LoadRows = 1000
			raw, refused := int64(0), 0
			var events []event
			for i := range 20 {
				events = append(events, event{raw, 0, fmt.Sprintf("k%02d", i), map[string]any{"n": 100 + i, "price": i}})
				raw++
			}
			f.apply(events...)
			run(t, f.store.db, alter...)
			if name == "foreign keys" || name == "all" {
				ofParents(t, f)
				withChildren(t, f)
			}
			for seed := range uint64(12) {
				events := f.anyBatch(rand.New(rand.NewPCG(seed, 10)), raw)
				raw += int64(len(events))
				var want map[string]string
				f.withoutBent(func() { want = f.reasons(events) })
				if d := cmp.Diff(want, f.reasons(events)); d != "" {
					t.Fatalf("seed %d (-tried +bent):\n%s", seed, d)
				}
				if got := f.apply(events...); len(got) != len(want) {
					t.Errorf("seed %d: %d letters, want %d: %q; want %q", seed, len(got), len(want), got, want)
				}
				refused += len(want)
			}
			if refused < 24 {
				t.Errorf("%d refused: it shows nothing", refused)
			}
		})
	}
}

// anyBatch are records of 60 keys of which the first 20 have rows at first: from some batch on few are refused, from
// others most.
func (f *fixture) anyBatch(r *rand.Rand, raw int64) (events []event) {
	often := 1 + r.IntN(6)
	for i, key := range r.Perm(60)[:40] {
		e := event{raw + int64(i), 0, fmt.Sprintf("k%02d", key), map[string]any{"n": 200 + r.IntN(1000), "price": r.IntN(900)}}
		if r.IntN(8) == 0 {
			e.raw = int64(r.IntN(20)) // an older one
		}
		if r.IntN(8) == 0 {
			e.row = nil
			events = append(events, e)
			continue
		}
		if r.IntN(3) == 0 {
			e.row["note"] = fmt.Sprintf("p%d", r.IntN(5))
		}
		if r.IntN(often) == 0 {
			spoil(r, e.row)
		}
		events = append(events, e)
	}
	return events
}

// spoil gives a row what one of the tables refuses.
func spoil(r *rand.Rand, row map[string]any) {
	switch r.IntN(10) {
	case 0:
		row["note"] = "more than ten characters"
	case 1:
		row["n"] = 70_000
	case 2, 3:
		row["n"] = 13
	case 4:
		row["n"] = 7
	case 5:
		row["n"] = 8
	case 6, 7:
		row["price"] = 1000 + r.IntN(10)
	default:
		row["note"] = fmt.Sprintf("p%d", 5+r.IntN(3)) // no such parent
	}
}

// TestBentRowsRefuseNoOther: a row is left out because the one before it, which is refused, was bent. It is good.
func TestBentRowsRefuseNoOther(t *testing.T) {
	f := newFixture(t, onMySQL(t), false)
	f.store.cfg.LoadRows = 1000
	f.apply(event{0, 0, "a", map[string]any{"n": 5}})
	run(t, f.store.db, "ALTER TABLE things ADD UNIQUE (n), ADD m smallint AS (price) STORED, ADD FOREIGN KEY (m) REFERENCES things (n)")
	child := func(raw int64, key string, parent int) event {
		return event{raw, 0, key, map[string]any{"price": parent}}
	}
	events := []event{
		{1, 0, "a", map[string]any{"n": 70_000}}, // it would be parent 32,767
		child(2, "b", 98), child(3, "c", 5), child(4, "d", 99),
	}
	for i := range int64(10) {
		events = append(events, event{5 + i, 0, fmt.Sprint("e", i), map[string]any{"note": "good"}})
	}
	got := f.reasons(events)
	if len(got) != 3 || got["a"] == "" || got["b"] == "" || got["d"] == "" {
		t.Errorf("refused %q; want a, b and d", got)
	}
}

// TestLeftOutIsNotWhatAnotherTableRefuses: the server warns of what a trigger could not write elsewhere, in the words
// of a refusal. The rows go in.
func TestLeftOutIsNotWhatAnotherTableRefuses(t *testing.T) {
	f := newFixture(t, onMySQL(t), false)
	f.store.cfg.LoadRows = 1000
	run(t, f.store.db, "CREATE TABLE seen (n int, CHECK (n <> 13))",
		"CREATE TRIGGER t AFTER INSERT ON things FOR EACH ROW INSERT IGNORE INTO seen VALUES (NEW.n)",
		"ALTER TABLE things ADD CHECK (n <> 14)")
	var events []event
	for i := range 20 {
		events = append(events, event{int64(i), 0, fmt.Sprintf("k%02d", i), row(13 + i%2)})
	}
	got := f.reasons(events)
	if len(got) != 10 || got["k00"] != "" || got["k01"] == "" {
		t.Errorf("refused %q; want the rows with 14", got)
	}
}

// TestWhatATriggerCannotWriteIsNotLeftOut: a key that a trigger could not write to another table ends the statement, as
// if there were no IGNORE. So the row is not there beside one that is good only without it.
func TestWhatATriggerCannotWriteIsNotLeftOut(t *testing.T) {
	f := newFixture(t, onMySQL(t), false)
	f.store.cfg.LoadRows = 1000
	price := func(raw int64, key string, price int) event {
		return event{raw, 0, key, map[string]any{"price": price}}
	}
	f.apply(price(0, "p", 1), price(1, "x", 2), price(2, "y", 3), price(3, "z", 4))
	run(t, f.store.db, "CREATE TABLE seen (n int PRIMARY KEY)", "INSERT INTO seen VALUES (13)", anIndex,
		"CREATE TRIGGER t AFTER INSERT ON things FOR EACH ROW INSERT INTO seen VALUES (COALESCE(NEW.n, 14))")
	events := []event{{4, 0, "a", map[string]any{"n": 13, "price": 99}}, price(5, "x", 1), price(6, "y", 99), price(7, "z", 1)}
	for i := range 10 {
		events = append(events, event{int64(10 + i), 0, fmt.Sprint("k", i), row(100 + i)})
	}
	got := f.reasons(events)
	if len(got) != 3 || got["a"] == "" || got["x"] == "" || got["z"] == "" {
		t.Errorf("refused %q; want a, x and z", got)
	}
}

// TestNothingIsKnownOfWhatIsNotTold: a server that keeps few warnings does not tell of all rows. They are tried.
func TestNothingIsKnownOfWhatIsNotTold(t *testing.T) {
	f := newFixture(t, onMySQL(t), false)
	f.store.cfg.LoadRows = 1000
	run(t, f.store.db, aCheck)
	if err := errors.Join(f.writer.connect(t.Context()), f.writer.exec(t.Context(), "SET SESSION max_error_count = 30")); err != nil {
		t.Fatal(err)
	}
	var events []event
	for i := range 40 {
		n := i
		if i%5 == 0 {
			n = 13
		} else if i == 13 {
			n = 0
		}
		events = append(events, event{int64(i), 0, fmt.Sprintf("k%02d", i), row(n)})
	}
	b := newBatch(rows.NewDecoder(), f.job(events...))
	if found, err := f.writer.isolate(t.Context(), b); !found || err != nil {
		t.Fatal(found, err)
	}
	refused := 0
	for range b.refused() {
		refused++
	}
	if refused != 8 {
		t.Errorf("%d refused, want 8", refused)
	}
}
