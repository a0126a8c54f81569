//go:build integration

package sink

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/sink/rows"
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

// TestOneGuardForAllPartitions: a transaction over as many partitions as there may be has as many statements as one
// over a single partition, and the guard finds each row by the primary key.
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
	count(f.spread(1)) // the first one notes that the table has rows
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

// TestIsolatingCostsFewStatements: rows that the database names are found with few statements, however many they are.
// Those refused for anything else cost few where they are few, and about one each where all are refused.
func TestIsolatingCostsFewStatements(t *testing.T) {
	const n = 1000
	for kind, c := range map[string]struct {
		row                     map[string]any
		one, tenth, second, all int // statements at most
	}{
		"value":       {map[string]any{"note": "more than ten characters"}, 20, 20, 20, 20},
		"check":       {map[string]any{"n": 13}, 20, 20, 20, 20},
		"foreign key": {map[string]any{"price": 13}, 20, 20, 20, 20},
		"trigger":     {map[string]any{"n": 14}, 60, 650, n + 100, n + 100},
	} {
		for name, bad := range map[string]struct {
			is   func(i int) bool
			most int
		}{
			"one":         {func(i int) bool { return i == 700 }, c.one},
			"every tenth": {func(i int) bool { return i%10 == 0 }, c.tenth},
			"every other": {func(i int) bool { return i%2 == 0 }, c.second},
			"all":         {func(int) bool { return true }, c.all},
		} {
			t.Run(kind+"/"+name, func(t *testing.T) { isolatingCosts(t, n, c.row, bad.is, bad.most) })
		}
	}
}

// isolatingCosts isolates n rows of which some are bad by at most so many statements.
func isolatingCosts(t *testing.T, n int, row map[string]any, bad func(i int) bool, most int) {
	t.Helper()
	f := newFixture(t, onMySQL(t), false)
	f.store.cfg.LoadRows = 2 * n
	run(t, f.store.db, "ALTER TABLE things ADD CHECK (n <> 13 OR n IS NULL)", "CREATE TABLE parents (price decimal(20,4) PRIMARY KEY)",
		"ALTER TABLE things ADD FOREIGN KEY (price) REFERENCES parents (price)",
		"CREATE TRIGGER t BEFORE INSERT ON things FOR EACH ROW IF NEW.n = 14 THEN SIGNAL SQLSTATE '45000'; END IF")
	var events []event
	want := 0
	for i := range n {
		e := event{int64(i), 0, fmt.Sprintf("k%04d", i), map[string]any{"n": i + 100}}
		if bad(i) {
			e.row = row
			want++
		}
		events = append(events, e)
	}
	b := newBatch(rows.NewDecoder(), f.job(events...))
	before, began := f.questions(), time.Now()
	found, err := f.writer.isolate(t.Context(), b)
	took, statements := time.Since(began), f.questions()-before-1
	if err != nil || !found {
		t.Fatal(found, err)
	}
	t.Logf("%d of %d refused: %d statements, %s", want, n, statements, took)
	if statements > most {
		t.Errorf("%d statements, want at most %d", statements, most)
	}
	for x := range b.refused() {
		want--
		if !bad(int(x.Record.Offset)) {
			t.Errorf("%s is refused: %s", x.Record.Key, x.Reason)
		}
	}
	if got := f.column("n"); want != 0 || len(got) != 0 {
		t.Errorf("%d refused rows are missing, %d rows were written", want, len(got))
	}
	if _, err := f.writer.apply(t.Context(), b); err != nil {
		t.Errorf("what remains: %v", err)
	}
}

// statements is how many statements all connections have sent in this schema.
func (f *fixture) statements() (n int) {
	f.t.Helper()
	err := f.store.db.QueryRow(`SELECT COALESCE(SUM(count_star), 0) FROM performance_schema.events_statements_summary_by_digest
		WHERE schema_name = DATABASE() AND digest_text NOT LIKE '%performance_schema%'`).Scan(&n)
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// TestClaimsAndReleasesInBulk: partitions are claimed by a few statements for each five hundred, and released by one.
func TestClaimsAndReleasesInBulk(t *testing.T) {
	f := newFixture(t, onMySQL(t), false)
	f.statements()
	before, began := f.statements(), time.Now()
	claims := f.claims(2 * placesAtOnce)
	took, n := time.Since(began), f.statements()-before
	t.Logf("%d partitions claimed: %d statements, %s", len(claims), n, took)
	if n > 2*6 { // BEGIN, SELECT the owners, INSERT, SELECT, UPDATE, COMMIT
		t.Errorf("%d statements to claim %d partitions", n, len(claims))
	}
	before = f.statements()
	if err := f.store.release(t.Context(), claims); err != nil {
		t.Fatal(err)
	}
	if n := f.statements() - before; n > 2 {
		t.Errorf("%d statements to release %d partitions", n, len(claims))
	}
}

// TestFrozenOwnersAmongMany: of many partitions to be claimed two frozen owners hold some, each in a transaction.
func TestFrozenOwnersAmongMany(t *testing.T) {
	p := onMySQL(t)
	f := newFixture(t, p, false)
	f.store.cfg.LockTimeout = time.Second
	const n = 100
	for _, at := range []int32{7, 70} {
		frozen := newFixture(t, p, false)
		bids := []*bid{}
		for i := range int32(5) {
			bids = append(bids, &bid{claim: &claim{topic: topic, partition: at + i, table: f.table}, bounds: noLog, connection: frozen.writer.session.ID})
		}
		if err := frozen.store.claim(t.Context(), bids); err != nil {
			t.Fatal(err)
		}
		var moves []move
		for _, b := range bids {
			moves = append(moves, move{claim: b.claim, from: 0, next: 1})
		}
		if err := errors.Join(frozen.writer.exec(t.Context(), f.store.statements.Begin), frozen.writer.moveOffsets(t.Context(), moves)); err != nil {
			t.Fatal(err) // and no COMMIT
		}
	}
	for i, c := range f.claims(n) {
		if c.next != 0 {
			t.Errorf("partition %d continues at %d: what its owner did not commit", i, c.next)
		}
	}
}

// TestMarksAreAskedOnceInATransaction: a stream in which an older record may come at any time asks for its marks by one
// query, however many records a transaction has; and by their keys where the marks are more.
func TestMarksAreAskedOnceInATransaction(t *testing.T) {
	const n = 3 * marksAtOnce
	f := newFixture(t, onMySQL(t), true)
	f.store.cfg.LoadRows, f.store.cfg.StatementRows = 10*n, 10*n
	at := int64(0)
	apply := func(keys int, source int64, row map[string]any) (statements int) {
		var events []event
		for i := range keys {
			events = append(events, event{at, source, fmt.Sprintf("k%05d", i), row})
			at++
		}
		before := f.questions()
		f.apply(events...)
		return f.questions() - before - 1
	}
	if without := apply(n, 1, row(1)); without > 6 {
		t.Errorf("%d statements for %d records, and no marks", without, n)
	}
	apply(20, 5, nil) // and 20 marks
	if some := apply(n, 3, row(3)); some > 6 {
		t.Errorf("%d statements for %d records, and 20 marks", some, n)
	}
	got := f.column("n")
	if len(got) != n-20 || got["k00019"] != "" || got["k00020"] != "3" {
		t.Errorf("%d rows, k00019 is %q and k00020 %q", len(got), got["k00019"], got["k00020"])
	}
	apply(10, 4, row(4)) // fewer keys than there are marks: all are marked
	if got := f.column("n"); len(got) != n-20 {
		t.Errorf("%d rows after older records of removed keys", len(got))
	}
	if again := apply(10, 4, row(4)); again > 5 { // without asking for all first
		t.Errorf("%d statements where there are many marks", again)
	}
	apply(10, 6, row(6))
	if got := f.column("n"); len(got) != n-10 || got["k00009"] != "6" {
		t.Errorf("%d rows after newer records of removed keys; k00009 is %q", len(got), got["k00009"])
	}
}
