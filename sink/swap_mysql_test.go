//go:build integration

package sink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// reader reads the table that is swapped, in one way, and says what it saw: how many rows, and how many of them are of
// the second line.
type reader func(ctx context.Context, db *sql.DB, prepared *sql.Stmt) (rows, second int, err error)

// countOf reads the answer of a query whose first column is n.
func countOf(found *sql.Rows, err error) (rows, second int, _ error) {
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = found.Close() }()
	names, err := found.Columns()
	if err != nil {
		return 0, 0, err
	}
	at := 0
	for i, name := range names {
		if name == "n" {
			at = i
		}
	}
	values, into := make([]sql.RawBytes, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for found.Next() {
		if err := found.Scan(into...); err != nil {
			return 0, 0, err
		}
		rows++
		if len(values[at]) == 4 {
			second++
		}
	}
	return rows, second, found.Err()
}

var readers = map[string]reader{
	"text": func(ctx context.Context, db *sql.DB, _ *sql.Stmt) (int, int, error) {
		return countOf(db.QueryContext(ctx, "SELECT n FROM things"))
	},
	"prepared": func(ctx context.Context, _ *sql.DB, prepared *sql.Stmt) (int, int, error) {
		return countOf(prepared.QueryContext(ctx, 0))
	},
	"everything": func(ctx context.Context, db *sql.DB, _ *sql.Stmt) (int, int, error) {
		return countOf(db.QueryContext(ctx, "SELECT * FROM things"))
	},
	"long": func(ctx context.Context, db *sql.DB, _ *sql.Stmt) (int, int, error) {
		return countOf(db.QueryContext(ctx, "SELECT n, SLEEP(0.02) FROM things"))
	},
	"repeatable read": func(ctx context.Context, db *sql.DB, _ *sql.Stmt) (rows, second int, err error) {
		tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
		if err != nil {
			return 0, 0, err
		}
		defer func() { err = errors.Join(err, tx.Commit()) }()
		rows, second, err = countOf(tx.QueryContext(ctx, "SELECT n FROM things"))
		for range 3 {
			more, again, failed := countOf(tx.QueryContext(ctx, "SELECT n FROM things"))
			if failed == nil && (more != rows || again != second) {
				failed = fmt.Errorf("%d rows and then %d in one transaction, %d and then %d of the second line", rows, more, second, again)
			}
			err = errors.Join(err, failed)
		}
		return rows, second, err
	},
}

// longSession has a session that is silent end later than ours do: a test may take long.
const longSession = "SET SESSION wait_timeout = 600"

// reads is a transaction that has read the table, and keeps its name from being changed.
func (w *twoLines) reads(t *testing.T) *sql.Tx {
	t.Helper()
	tx, err := w.base.store.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(longSession); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow("SELECT COUNT(*) FROM things").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return tx
}

// TestReadersSeeNothingOfASwap: text, prepared, SELECT *, a transaction that reads repeatably, a long SELECT: none sees
// a missing table, a missing row, or rows of both lines, in 24 swaps and rollbacks.
func TestReadersSeeNothingOfASwap(t *testing.T) {
	p := onMySQL(t)
	w := newTwoLines(t, p)
	const keys = 20
	for i := range keys {
		w.writes(fmt.Sprint(i), i+1)
	}
	db, err := w.base.store.dialect.Open(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	prepared, err := db.PrepareContext(t.Context(), "SELECT * FROM things WHERE n > ?")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	var reads [5]atomic.Int64
	i := 0
	for name, read := range readers {
		n := &reads[i]
		i++
		all.Go(func() {
			for ctx.Err() == nil {
				rows, second, err := read(ctx, db, prepared)
				if ctx.Err() != nil {
					return
				}
				if err != nil || rows != keys || second != 0 && second != keys {
					t.Errorf("%s: %d rows, %d of the second line, %v", name, rows, second, err)
					return
				}
				n.Add(1)
			}
		})
	}
	want := map[string]string{}
	for i := range keys {
		want[fmt.Sprint(i)] = fmt.Sprint(i + 1)
	}
	for swap := range 24 {
		before := reads[0].Load()
		s := w.swapper()
		err := drive(ctx, s)
		for range 20 { // on a slow machine readers may hold it for too long, again and again
			if _, busy := errors.AsType[*RenameError](err); !busy {
				break
			}
			if _, err := s.Clear(ctx); err != nil {
				t.Fatal(err)
			}
			err = drive(ctx, s)
		}
		if err != nil {
			t.Fatalf("swap %d: %v", swap, err)
		}
		s.Close()
		w.live = 3 - w.live
		w.claims()
		key := fmt.Sprint(swap % keys)
		w.writes(key, swap+100)
		want[key] = fmt.Sprint(swap + 100)
		testkit.Eventually(t, 2*time.Minute, testkit.That("a read", func() bool { return t.Failed() || reads[0].Load() > before }))
	}
	stop()
	all.Wait()
	w.wantLive(want)
	for i := range reads {
		if reads[i].Load() == 0 {
			t.Errorf("reader %d has read nothing", i)
		}
	}
}

// TestADriverThatStandsStillIsEnded: one that does nothing for longer than a step may take loses its connection, and
// the swap is cleared; what it does afterwards changes nothing.
func TestADriverThatStandsStillIsEnded(t *testing.T) {
	w := newTwoLines(t, onMySQL(t))
	ctx := t.Context()
	w.writes("a", 1)
	s := w.swapper()
	if err := errors.Join(s.Lock(ctx), s.Freeze(ctx)); err != nil {
		t.Fatal(err)
	}
	d := w.base.store.dialect.(dialect.Swapper)
	if err := w.base.store.endSwaps(ctx, d); err != nil {
		t.Fatal(err)
	}
	if err := w.base.reclaim(); !errors.Is(err, errSwapping) {
		t.Fatalf("a driver that is not late was ended: %v", err)
	}
	if _, err := w.base.store.db.Exec("UPDATE millrace_swaps SET step_at = step_at - INTERVAL 40 SECOND"); err != nil {
		t.Fatal(err)
	}
	if err := w.base.store.endSwaps(ctx, d); err != nil {
		t.Fatal(err)
	}
	w.claims()
	if err := s.Rename(ctx); err == nil {
		t.Error("the driver continued without its connection")
	}
	w.writes("a", 2)
	w.wantLive(map[string]string{"a": "2"})
}

// TestARenameThatWaitsDoesNotOutliveItsDriver: the process is killed while RENAME waits for a reader. The server goes
// on waiting; as long as it does, nobody takes the swap for ended.
func TestARenameThatWaitsDoesNotOutliveItsDriver(t *testing.T) {
	w := newTwoLines(t, onMySQL(t))
	ctx := t.Context()
	w.writes("a", 1)
	s := w.swapper()
	if err := errors.Join(s.Lock(ctx), s.Freeze(ctx)); err != nil {
		t.Fatal(err)
	}
	reading := w.reads(t)
	dying, kill := context.WithCancel(ctx)
	defer kill()
	s.Before = func(statement string) error {
		if strings.HasPrefix(statement, "RENAME") {
			go func() {
				_ = testkit.Until(ctx, time.Minute, func() error {
					var waits int
					err := w.base.store.db.QueryRow("SELECT COUNT(*) FROM performance_schema.metadata_locks WHERE object_schema = DATABASE() AND lock_status = 'PENDING'").Scan(&waits)
					if err == nil && waits == 0 {
						err = errors.New("RENAME does not wait yet")
					}
					return err
				})
				kill() // the driver closes its connection, and the statement goes on
			}()
		}
		return nil
	}
	if err := s.Rename(dying); err == nil {
		t.Fatal("it was renamed under the eyes of a reader")
	}
	s.Abandon()
	d := w.base.store.dialect.(dialect.Swapper)
	testkit.Eventually(t, 2*time.Minute, func() error {
		if err := w.base.store.endSwaps(ctx, d); err != nil {
			return err
		}
		return w.base.store.swapInTheWay(ctx, w.base.table)
	})
	if err := reading.Commit(); err != nil {
		t.Fatal(err)
	}
	w.live = w.owner()
	w.claims()
	w.wantLive(map[string]string{"a": "1"})
	made, err := w.base.store.dialect.Made(ctx, w.base.store.db, []string{"things", "things__g1", "things__g2"})
	if _, aside := made["things__g1"]; err != nil || len(made) != 2 || aside != (w.live == 2) {
		t.Errorf("line %d is live, and the tables are %v, %v", w.live, made, err)
	}
}

// TestADriverThatWaitsIsKilled: a driver stands still in RENAME TABLE, for longer than a step may take. Whoever ends
// its swap ends its connection first: else the tables would be renamed afterwards, by nobody's leave.
func TestADriverThatWaitsIsKilled(t *testing.T) {
	w := newTwoLines(t, onMySQL(t))
	ctx := t.Context()
	w.writes("a", 1)
	s := w.swapper()
	if err := errors.Join(s.Lock(ctx), s.Freeze(ctx)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.conn.ExecContext(ctx, "SET SESSION lock_wait_timeout = 60"); err != nil { // as if the server were late
		t.Fatal(err)
	}
	reading := w.reads(t)
	renamed := make(chan error, 1) // one send
	go func() { renamed <- s.Rename(ctx) }()
	testkit.Eventually(t, 2*time.Minute, func() error {
		var waits int
		err := w.base.store.db.QueryRow("SELECT COUNT(*) FROM performance_schema.metadata_locks WHERE object_schema = DATABASE() AND lock_status = 'PENDING'").Scan(&waits)
		if err == nil && waits == 0 {
			err = errors.New("RENAME does not wait yet")
		}
		return err
	})
	if _, err := w.base.store.db.Exec("UPDATE millrace_swaps SET step_at = step_at - INTERVAL 40 SECOND"); err != nil {
		t.Fatal(err)
	}
	if err := w.base.store.endSwaps(ctx, w.base.store.dialect.(dialect.Swapper)); err != nil {
		t.Fatal(err)
	}
	if err := reading.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-renamed; err == nil {
		t.Error("the tables were renamed after the driver was taken for dead")
	}
	made, err := w.base.store.dialect.Made(ctx, w.base.store.db, []string{"things", "things__g1", "things__g2"})
	if _, aside := made["things__g1"]; err != nil || len(made) != 2 || aside {
		t.Fatalf("the tables are %v, %v", made, err)
	}
	w.claims()
	w.writes("a", 2)
	w.wantLive(map[string]string{"a": "2"})
}

// TestReadersThatAreInTheWayAreNamed: a transaction from before the other table was complete, and one that holds the
// table.
func TestReadersThatAreInTheWayAreNamed(t *testing.T) {
	w := newTwoLines(t, onMySQL(t))
	ctx := t.Context()
	s := w.swapper()
	db, err := w.base.store.dialect.Open(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(longSession); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow("SELECT COUNT(*) FROM millrace_owners").Scan(&n); err != nil {
		t.Fatal(err)
	}
	look := func(since time.Time, longer time.Duration, want ...string) {
		t.Helper()
		testkit.Eventually(t, 2*time.Minute, func() error {
			testkit.Pause(ctx, 300*time.Millisecond) // the server shows what it showed before, unless nobody has asked for 0.1 s
			names, err := s.Readers(ctx, since, longer)
			if err != nil || len(names) != len(want) {
				return fmt.Errorf("%q, %w; want %q", names, err, want)
			}
			for i := range names {
				if !strings.Contains(names[i], want[i]) {
					return fmt.Errorf("%q, want %q", names[i], want[i])
				}
			}
			return nil
		})
	}
	look(time.Now().Add(time.Hour), time.Hour, "has a transaction since")
	look(time.Now().Add(-time.Hour), time.Hour)
	if err := tx.QueryRow("SELECT COUNT(*) FROM things").Scan(&n); err != nil {
		t.Fatal(err)
	}
	look(time.Time{}, 0, "holds things")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	look(time.Now().Add(time.Hour), 0)
}

// TestRowsAreTriedInTheirOwnTableOnly: the table gets another name between the refusal of a row and the search for it.
// What the other table refuses says nothing.
func TestRowsAreTriedInTheirOwnTableOnly(t *testing.T) {
	w := newTwoLines(t, onMySQL(t))
	bad := w.base.job(event{w.raw, 0, "a", map[string]any{"note": "longer than its column"}})
	b := newBatch(rows.NewDecoder(), bad)
	if _, err := w.base.writer.apply(t.Context(), b); !isTableFault(err) {
		t.Fatalf("%v, want it refused", err)
	}
	if err := drive(t.Context(), w.swapper()); err != nil {
		t.Fatal(err)
	}
	found, err := w.base.writer.isolate(t.Context(), b)
	if _, fenced := errors.AsType[*FencedError](err); found || !fenced {
		t.Errorf("found %t, %v; want that it is fenced", found, err)
	}
	for x := range b.refused() {
		t.Errorf("%s: %v", x.Record.Key, x.Reason)
	}
}
