//go:build integration

package sink

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

func TestMain(m *testing.M) { testservers.Main(m) }

func onMySQL(t *testing.T) *pipeline.Pipeline {
	t.Helper()
	return &pipeline.Pipeline{Database: pipeline.Database{MySQL: pipeline.Secret(testservers.MySQL(t))}}
}

func TestMySQL(t *testing.T) { suite(t, onMySQL) }

// TestMySQLRefuses: what a column cannot hold is found and told, never changed without a word, and everything else
// goes in.
func TestMySQLRefuses(t *testing.T) {
	f := newFixture(t, onMySQL(t), false)
	bad := map[string]map[string]any{
		"range":                     {"n": 40_000},
		"digits":                    {"price": json.Number("1e40")},
		"long":                      {"note": "12345678901"},
		"month":                     {"at": "2024-13-01T00:00:00Z"},
		"zero":                      {"at": "0000-00-00"},
		"boolean":                   {"on_sale": 300},
		"nested":                    {"extra": json.RawMessage(strings.Repeat("[", 101) + strings.Repeat("]", 101))},
		"this key is much too long": {"n": 1},
	}
	var events []event
	for key, columns := range bad {
		events = append(events, event{int64(len(events)), 0, key, columns}, event{int64(len(events) + 1), 0, "good " + key[:4], row(1)})
	}
	var keys []string
	for _, r := range f.apply(events...) {
		key, _, _ := strings.Cut(r, ":")
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if want := slices.Sorted(maps.Keys(bad)); !slices.Equal(keys, want) {
		t.Errorf("refused %q, want %q", keys, want)
	}
	if got := f.column("n"); len(got) != len(bad) {
		t.Errorf("rows %v, want the %d good ones", got, len(bad))
	}
}

// TestSupersededIsNotTried: of a revision that MySQL would refuse there is a letter if it was the newest when it was
// tried; in a batch with a newer one it is counted as superseded. A newer one that is refused supersedes nothing.
func TestSupersededIsNotTried(t *testing.T) {
	long := map[string]any{"n": 1, "note": "12345678901"}
	f := newFixture(t, onMySQL(t), false)
	r, err := f.writer.apply(t.Context(), newBatch(rows.NewDecoder(), f.job(event{0, 0, "a", long}, event{1, 0, "a", row(2)})))
	if err != nil || r.superseded["s"] != 1 || r.upserts["s"] != 1 {
		t.Errorf("%+v, %v; want one superseded and one row", r, err)
	}
	f.claim.next = f.offset
	if refused := f.apply(event{2, 0, "b", long}); len(refused) != 1 {
		t.Errorf("refused %q, want the one revision that there is", refused)
	}
	if refused := f.apply(event{3, 0, "b", row(3)}, event{4, 0, "b", long}); len(refused) != 1 {
		t.Errorf("refused %q, want the newest", refused)
	}
	f.want(map[string]string{"a": "2", "b": "3"})
}

// TestMySQLReadsOurStrings has the server read literals of all sorts of strings.
func TestMySQLReadsOurStrings(t *testing.T) {
	f := newFixture(t, onMySQL(t), false)
	alphabet := []rune("\x00\x1a'\"\\%_\n\r\t\b;-#/*`aé漢😀")
	for i := range 300 {
		var text []rune
		for range rand.IntN(20) {
			text = append(text, alphabet[rand.IntN(len(alphabet))])
		}
		var got string
		literal := f.store.dialect.AppendLiteral(nil, rows.Value{Form: rows.Text, Bytes: []byte(string(text))})
		if err := f.store.writers.QueryRow("SELECT " + string(literal)).Scan(&got); err != nil || got != string(text) {
			t.Fatalf("%d: %q came back as %q, %v", i, string(text), got, err)
		}
	}
}

// TestDisconnectEndsTheSession: a session that was given up, with whatever transaction it holds, is not used again.
func TestDisconnectEndsTheSession(t *testing.T) {
	f := newFixture(t, onMySQL(t), false)
	before := f.writer.session.ID
	f.writer.disconnect()
	if err := f.writer.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f.writer.session.ID == before {
		t.Errorf("connection %d again", before)
	}
}

// TestFrozenOwnerIsEvicted claims a partition whose owner has stopped inside its transaction.
func TestFrozenOwnerIsEvicted(t *testing.T) {
	for name, prepare := range map[string]func(*fixture){
		"with the connection of its claim":          func(*fixture) {},
		"on a connection that it opened afterwards": func(f *fixture) { f.writer.disconnect() },
	} {
		t.Run(name, func(t *testing.T) {
			p := onMySQL(t)
			frozen := newFixture(t, p, false)
			frozen.apply(event{0, 0, "a", row(0)})
			prepare(frozen)
			ctx := t.Context()
			b := newBatch(rows.NewDecoder(), frozen.job(event{1, 0, "a", row(1)}))
			if err := errors.Join(frozen.writer.connect(ctx), frozen.writer.publish(ctx, b.moves)); err != nil {
				t.Fatal(err)
			}
			if _, err := frozen.writer.write(ctx, b); err != nil { // and no COMMIT
				t.Fatal(err)
			}

			started := time.Now()
			other := newFixture(t, p, false) // creates what is there, and claims
			if other.claim.next != 1 {
				t.Errorf("the next offset is %d, want 1: that of the last commit", other.claim.next)
			}
			t.Logf("took over after %s", time.Since(started))
			other.offset = 1
			other.apply(event{1, 0, "a", row(7)})

			// The frozen one goes on: its COMMIT fails, and so does every other attempt.
			if _, err := frozen.writer.session.ExecContext(ctx, "COMMIT"); err == nil {
				t.Error("the frozen owner's COMMIT was answered with success")
			}
			frozen.writer.disconnect()
			var fenced *FencedError
			if _, err := frozen.writer.apply(ctx, b); !errors.As(err, &fenced) {
				t.Errorf("its next attempt: %v, want a FencedError", err)
			}
			other.want(map[string]string{"a": "7"})
		})
	}
}

// TestClaimSaysWhatIsInItsWay: a row that somebody else locks, who is not ours to end.
func TestClaimSaysWhatIsInItsWay(t *testing.T) {
	f := newFixture(t, onMySQL(t), false)
	tx, err := f.store.writers.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.Exec("UPDATE millrace_offsets SET owner_name = 'somebody'"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.store.db.Exec("SELECT 1"); err != nil {
		t.Fatal(err)
	}
	f.writer.disconnect() // what the row names is gone
	f.store.cfg.LockTimeout = time.Second
	err = f.store.claimOne(t.Context(), &claim{topic: topic, table: f.table}, noLog, 0)
	if err == nil || !strings.Contains(err.Error(), "millrace_offsets is locked") {
		t.Errorf("%v, want an error that says that the row is locked", err)
	}
}

// TestDeadlock: the transaction that MySQL chose as the victim leaves nothing, and goes in when it is written again.
func TestDeadlock(t *testing.T) {
	f := newFixture(t, onMySQL(t), false)
	var events []event
	for i := range int64(200) {
		events = append(events, event{i, 0, fmt.Sprintf("k%03d", i), row(0)})
	}
	f.apply(events...)
	ctx := t.Context()
	tx, err := f.store.writers.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	// The other transaction has changed more, so it is not the one that MySQL ends.
	if _, err := tx.Exec("UPDATE things SET note = 'x' WHERE id > 'k100'"); err != nil {
		t.Fatal(err)
	}
	b := newBatch(rows.NewDecoder(), f.job(event{200, 0, "k000", row(1)}, event{201, 0, "k150", row(1)}))
	failed := make(chan error, 1)
	go func() {
		_, err := f.writer.apply(ctx, b)
		failed <- err
	}()
	waiting(t, f.store.db, f.writer.session.ID)
	if _, err := tx.Exec("UPDATE things SET note = 'x' WHERE id = 'k000'"); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; f.store.dialect.Reason(err) != dialect.Deadlock {
		t.Fatalf("%v, want a deadlock", err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := f.column("n")["k000"]; got != "0" {
		t.Errorf("k000 is %s after the deadlock, want 0", got)
	}
	if _, err := f.writer.apply(ctx, b); err != nil {
		t.Fatal(err)
	}
	if got := f.column("n"); got["k000"] != "1" || got["k150"] != "1" {
		t.Errorf("k000 is %s and k150 %s, want 1", got["k000"], got["k150"])
	}
}

// waiting returns once a connection waits for a lock.
func waiting(t *testing.T, db *sql.DB, connection uint64) {
	t.Helper()
	testkit.Eventually(t, 2*time.Minute, func() error {
		var n int // not from innodb_trx, which is a copy that is kept for as long as one keeps asking
		err := db.QueryRow(`SELECT COUNT(*) FROM performance_schema.data_lock_waits w
			JOIN performance_schema.threads t ON t.thread_id = w.requesting_thread_id WHERE t.processlist_id = ?`, connection).Scan(&n)
		if err == nil && n == 0 {
			err = fmt.Errorf("connection %d waits for no lock", connection)
		}
		return err
	})
}

// TestUnansweredCommit cuts the connection after COMMIT has reached the server, and after it has not.
func TestUnansweredCommit(t *testing.T) {
	for name, reaches := range map[string]bool{"that happened": true, "that did not happen": false} {
		t.Run(name, func(t *testing.T) {
			p := onMySQL(t)
			cut := cutCommits(t, &p.Database, reaches)
			f := newFixture(t, p, false)
			f.apply(event{0, 0, "a", row(0)})
			b := newBatch(rows.NewDecoder(), f.job(event{1, 0, "a", row(1)}, event{2, 0, "b", row(2)}))
			cut.Store(true)
			_, err := f.writer.apply(t.Context(), b)
			if !errors.Is(err, errUnknown) {
				t.Fatalf("%v, want that the outcome is not known", err)
			}
			happened, err := f.writer.committed(t.Context(), b)
			if err != nil || happened != reaches {
				t.Errorf("committed says %v, %v; want %v", happened, err, reaches)
			}
			if !happened {
				if _, err := f.writer.apply(t.Context(), b); err != nil {
					t.Fatal(err)
				}
			}
			f.want(map[string]string{"a": "1", "b": "2"})
		})
	}
}

// TestUnansweredCommitIsAskedLater: the question fails too, as while the server has no connection for us. The next
// attempt asks again, and does not take its own position for that of another sink.
func TestUnansweredCommitIsAskedLater(t *testing.T) {
	for name, reaches := range map[string]bool{"that happened": true, "that did not happen": false} {
		t.Run(name, func(t *testing.T) {
			p := onMySQL(t)
			cut := cutCommits(t, &p.Database, reaches)
			f := newFixture(t, p, false)
			f.apply(event{0, 0, "a", row(0)})
			s := &Sink{store: f.store, env: stage.Env{Log: slog.New(slog.DiscardHandler)}}
			j := f.job(event{1, 0, "a", row(1)}, event{2, 0, "b", row(2)})
			j.batch = newBatch(rows.NewDecoder(), j)
			if err := f.store.writers.Close(); err != nil { // the session stays, and there is no other
				t.Fatal(err)
			}
			cut.Store(true)
			if _, err := s.attempt(t.Context(), f.writer, j); !errors.Is(err, errUnknown) {
				t.Fatalf("%v, want that the outcome is not known", err)
			}
			var err error
			if f.store.writers, err = f.store.dialect.Open(f.store.cfg.LockTimeout); err != nil {
				t.Fatal(err)
			}
			if _, err := s.attempt(t.Context(), f.writer, j); err != nil {
				t.Fatal(err)
			}
			f.want(map[string]string{"a": "1", "b": "2"})
		})
	}
}

// TestMySQLTableThatDoesNotFit lists everything that is wrong with a table, with its remedy.
func TestMySQLTableThatDoesNotFit(t *testing.T) {
	f := newFixture(t, onMySQL(t), false)
	for _, statement := range []string{
		"DROP TABLE things",
		`CREATE TABLE things (id varchar(20) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY, n smallint, note varchar(10) UNIQUE, at datetime(3),
			extra json, on_sale boolean AS (n > 1), other int NOT NULL, fine int NOT NULL DEFAULT 1, _mr_version varbinary(10) NOT NULL) ENGINE = MyISAM`,
	} {
		if _, err := f.store.db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	err := f.store.prepareTable(t.Context(), topic, f.table)
	if _, ok := errors.AsType[*TableError](err); !ok {
		t.Fatalf("%v, want a TableError", err)
	}
	for _, want := range []string{
		"key column id has the collation utf8mb4_0900_ai_ci", "no column price: ALTER TABLE `things` ADD COLUMN `price` decimal(20,4)", "unique index note",
		"column on_sale is generated", "column other must have a value", "column _mr_version is varbinary(10)", `its engine is "MyISAM"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "fine") {
		t.Errorf("%q speaks of a column that is fine", err)
	}
}

// TestMySQLKeyColumnThatLoses: a table whose key column makes one of keys that the pipeline file tells apart is not
// written.
func TestMySQLKeyColumnThatLoses(t *testing.T) {
	for _, c := range []struct{ file, table, says string }{
		{"decimal(20,4)", "decimal(20,2)", "key column id is a decimal with 2 decimal places, in which"},
		{"decimal(20,4)", "double", "key column id is a double, in which"},
		{"datetime(6)", "datetime(3)", "key column id is a datetime(3), in which"},
		{"timestamp(3)", "datetime", "key column id is a datetime(0), in which"},
		{"time(2)", "time", "key column id is a time(0), in which"},
		{"datetime", "date", "key column id is a date, in which"},
		{"varchar(20)", "char(20) COLLATE utf8mb4_0900_bin", "key column id is a char, in which"},
		{"varchar(20)", "enum('a','b') COLLATE utf8mb4_0900_bin", "key column id is a enum, in which"},
		{"varchar(20)", "varchar(20) COLLATE utf8mb4_bin", "has the collation utf8mb4_bin, in which"},
		{"varchar(20)", "int", "key column id is a int, in which"},
		{"decimal(20,4)", "decimal(30,6)", ""},
		{"datetime", "datetime(6)", ""},
		{"int", "bigint", ""},
		{"char(20)", "varchar(30) COLLATE utf8mb4_0900_bin", ""},
		{"char(20)", "char(30) COLLATE utf8mb4_0900_bin", ""},
		{"boolean", "boolean", ""},
	} {
		t.Run(c.file+" as "+c.table, func(t *testing.T) {
			p := onMySQL(t)
			p.Streams = []pipeline.Stream{{Name: "s", Sink: pipeline.Sink{
				Table: "things", Columns: []pipeline.ColumnType{{Name: "id", Type: c.file, Key: true, NotNull: true}, {Name: "n", Type: "int"}},
			}}}
			f := newFixture(t, p, false)
			run(t, f.store.db, "DROP TABLE things", "CREATE TABLE things (id "+c.table+" PRIMARY KEY, n int, _mr_version varbinary(32) NOT NULL)")
			err := f.store.prepareTable(t.Context(), topic, f.table)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

// TestMySQLColumnThatBends: in a table that is there values never become others, whatever its columns are: it is told,
// or they are refused. Types × types, with values that MySQL is known to bend between some.
func TestMySQLColumnThatBends(t *testing.T) {
	values := []string{`1.5`, `"12.7"`, `"31.12.24"`, `"2024-02-29T23:59:59Z"`, `"2024-02-29"`, `"10:11:12"`, `24`, `"24"`, `2024`, `true`}
	tables := []string{"bigint", "tinyint(1)", "year", "decimal(20,4)", "double", "varchar(40)", "text", "varbinary(40)", "datetime(6)", "date", "time", "json", "bit(8)"}
	for _, typ := range []string{"bigint", "boolean", "year", "decimal(20,4)", "double", "varchar(40)", "varbinary(40)", "datetime(6)", "date", "time", "json"} {
		t.Run(typ, func(t *testing.T) {
			p := onMySQL(t)
			s := pipeline.Sink{Table: "things", Columns: []pipeline.ColumnType{{Name: "id", Type: "varchar(60)", Key: true, NotNull: true}, {Name: "asked", Type: typ}}}
			alter := "ALTER TABLE things"
			for i, is := range tables {
				s.Columns = append(s.Columns, pipeline.ColumnType{Name: fmt.Sprint("c", i), Type: typ})
				alter += fmt.Sprintf("%s MODIFY c%d %s NULL", ", "[:2*min(i, 1)], i, is)
			}
			p.Streams = []pipeline.Stream{{Name: "s", Sink: s}}
			f := newFixture(t, p, false)
			run(t, f.store.db, alter)
			found, err := f.store.dialect.Check(t.Context(), f.store.db, f.table)
			if err != nil {
				t.Fatal(err)
			}
			var events []event
			told := strings.Join(found, "\n")
			for i := range tables {
				column := fmt.Sprint("c", i)
				if strings.Contains(told, "column "+column+" is a") {
					continue
				}
				for _, v := range values {
					events = append(events, event{int64(len(events)), 0, column + " " + v, map[string]any{"asked": json.RawMessage(v), column: json.RawMessage(v)}})
				}
			}
			f.apply(events...)
			asked := f.column("asked")
			for i, is := range tables {
				column := fmt.Sprint("c", i)
				got := f.column(column)
				same := fmt.Sprintf("CAST(%s AS CHAR) = CAST(asked AS CHAR) OR %[1]s + 0 = asked + 0", column)
				if typ == "date" {
					same = column + " = asked"
				}
				for key, equal := range f.column("IF(" + same + ", 1, 0)") {
					if strings.HasPrefix(key, column+" ") && equal != "1" {
						t.Errorf("%s: %s became the %s %s", key, asked[key], is, got[key])
					}
				}
			}
			if len(asked) < 5 {
				t.Errorf("%d rows, want some for columns of other types", len(asked))
			}
		})
	}
}

// TestCompareFindsWhatMySQLRefuses: a value that no column takes is a letter, and the others of its chunk are compared.
func TestCompareFindsWhatMySQLRefuses(t *testing.T) {
	for name, open := range map[string]func(*testing.T) *pipeline.Pipeline{"INSERT": onMySQL, "LOAD DATA": onMySQLWithLoads} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, open(t), false)
			var events []event
			for i := range int64(3000) {
				events = append(events, event{i, 0, fmt.Sprint(i), row(1)})
			}
			f.apply(events...)
			events[7].row, events[1999].row = map[string]any{"n": 40_000}, map[string]any{"note": "12345678901"}
			events[8].row = map[string]any{"n": 1, "price": json.Number("1.5")}
			got, err := f.compared(nil, f.records(events...))
			if err != nil || got.Refused != 2 || len(got.Reasons) != 2 || got.Equal != 2997 || got.Changed != 1 || got.Columns["price"] != 1 {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}
