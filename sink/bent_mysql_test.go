//go:build integration

package sink

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// reasons isolates a batch of events, and returns the reason of each key that is refused.
func (f *fixture) reasons(events []event) map[string]string {
	f.t.Helper()
	at := f.offset
	b := newBatch(rows.NewDecoder(), f.job(events...))
	f.offset = at
	if _, err := f.writer.isolate(f.t.Context(), b); err != nil {
		f.t.Fatal(err)
	}
	out := map[string]string{}
	for x := range b.refused() {
		out[string(x.Record.Key)] = x.Reason.Error()
	}
	return out
}

// withoutBent has the writer find what is refused by trying alone.
func (f *fixture) withoutBent(do func()) {
	u := f.store.upserts[f.table]
	defer func() { f.store.upserts[f.table] = u }()
	plain := u
	plain.Bent, plain.Spared = nil, nil
	f.store.upserts[f.table] = plain
	do()
}

// TestBentFindsWhatTryingFinds: the same rows are refused, for the same reasons, as if each had been tried, whatever
// else the table refuses, by INSERT and by LOAD DATA.
func TestBentFindsWhatTryingFinds(t *testing.T) {
	for name, c := range map[string]struct {
		alter string
		load  int // LoadRows
	}{
		"values alone":   {"", 1000},
		"LOAD DATA":      {"", 1},
		"a unique index": {"ALTER TABLE things ADD UNIQUE (note)", 1000},
		"a check":        {"ALTER TABLE things ADD CHECK (n <> 13)", 1000},
		"a trigger":      {"CREATE TRIGGER t BEFORE INSERT ON things FOR EACH ROW IF NEW.n = 13 THEN SIGNAL SQLSTATE '45000'; END IF", 1000},
		"a parent": {"ALTER TABLE things MODIFY note varchar(10) COLLATE utf8mb4_0900_bin, MODIFY id varchar(10) COLLATE utf8mb4_0900_bin, " +
			"ADD FOREIGN KEY (note) REFERENCES things (id)", 1000},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, onMySQL(t), false)
			f.store.cfg.LoadRows = c.load
			if c.alter != "" {
				run(t, f.store.db, c.alter)
			}
			for seed := range uint64(5) {
				events := mixed(rand.New(rand.NewPCG(seed, 9)))
				var want map[string]string
				f.withoutBent(func() { want = f.reasons(events) })
				if len(want) == 0 || len(want) == len(events) {
					t.Fatalf("seed %d: %d of %d refused: it shows nothing", seed, len(want), len(events))
				}
				if d := cmp.Diff(want, f.reasons(events)); d != "" {
					t.Errorf("seed %d (-tried +bent):\n%s", seed, d)
				}
			}
		})
	}
}

// mixed are rows some of which a table may refuse.
func mixed(r *rand.Rand) (events []event) {
	for i := range 40 {
		row := row(i)
		if r.IntN(4) == 0 {
			row["note"] = fmt.Sprintf("k%02d", r.IntN(40)) // another's id, or its own; some twice
		}
		switch r.IntN(8) {
		case 0:
			row["note"] = fmt.Sprintf("more than ten characters, %d", i)
		case 1:
			row["n"] = 70_000 + i
		case 2:
			row["price"] = 1e17 + float64(i)
		case 3:
			row["n"] = 13
		}
		events = append(events, event{int64(i), 0, fmt.Sprintf("k%02d", i), row})
	}
	return events
}

// TestGoodRowsThatAreNamedGoIn: a row is not refused because it was named, but because it is refused.
func TestGoodRowsThatAreNamedGoIn(t *testing.T) {
	f := newFixture(t, onMySQL(t), false)
	f.store.cfg.LoadRows = 1000
	u := f.store.upserts[f.table]
	bent := u.Bent
	u.Bent = func(ctx context.Context, s *dialect.Session, n int) ([]dialect.Bent, bool, error) {
		all, whole, err := bent(ctx, s, n)
		if len(all) != 1 || !whole {
			t.Errorf("%d rows are bent: %v, %t", len(all), all, whole)
			return all, whole, err
		}
		for row := range 10 {
			if row != all[0].Row {
				all = append(all, dialect.Bent{Row: row, Class: "of good rows", Refusals: all[0].Refusals})
			}
		}
		slices.SortFunc(all, func(a, b dialect.Bent) int { return a.Row - b.Row })
		return all, whole, err
	}
	f.store.upserts[f.table] = u
	var events []event
	for i := range 10 {
		events = append(events, event{int64(i), 0, fmt.Sprint(i), row(i)})
	}
	events[4].row = map[string]any{"note": "more than ten characters"}
	want := map[string]string{"4": "Error 1406 (22001): Data too long for column 'note' at row 1"}
	if d := cmp.Diff(want, f.reasons(events)); d != "" {
		t.Error(d)
	}
}
