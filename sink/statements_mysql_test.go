//go:build integration

package sink

import (
	"strings"
	"testing"
)

// questions is how many statements the writer's session has sent, this one not counted.
func (f *fixture) questions() (n int) {
	f.t.Helper()
	var name string
	if err := f.writer.session.QueryRowContext(f.t.Context(), "SHOW SESSION STATUS LIKE 'Questions'").Scan(&name, &n); err != nil {
		f.t.Fatal(err)
	}
	return n - 1
}

// TestOneGuardForAllPartitions: a transaction over as many partitions as there may be has as many statements as one over
// a single partition, and the guard finds each row by the primary key.
func TestOneGuardForAllPartitions(t *testing.T) {
	f := newFixture(t, onMySQL(t), false)
	f.store.cfg.LoadRows = 2 * placesAtOnce // by INSERT
	count := func(b *batch) int {
		before := f.questions()
		if _, err := f.writer.apply(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		return f.questions() - before
	}
	one := count(f.spread(1))
	b := f.spread(placesAtOnce)
	if n := count(b); n != one {
		t.Errorf("%d statements for %d partitions, %d for one", n, placesAtOnce, one)
	}
	var plan string
	query := "EXPLAIN FORMAT=TREE " + string(f.store.statements.HeldOffsets.Append(nil, f.store.dialect, guards(b.moves)))
	if err := f.store.db.QueryRow(query).Scan(&plan); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(plan, "Single-row index lookup on o using PRIMARY") {
		t.Errorf("the guard does not look its rows up by the primary key:\n%s", plan)
	}
}
