//go:build integration

package sink

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// onMySQLWithLoads gives a pipeline on a server that takes LOAD DATA.
func onMySQLWithLoads(t *testing.T) *pipeline.Pipeline {
	t.Helper()
	dsn := testservers.MySQL(t)
	allowLoads(t, dsn, true)
	t.Cleanup(func() { allowLoads(t, dsn, false) }) // the server is shared
	s := pipeline.Stream{Name: "s", Sink: things("varchar(200)")}
	return &pipeline.Pipeline{Database: pipeline.Database{MySQL: pipeline.Secret(dsn)}, Streams: []pipeline.Stream{s}}
}

func allowLoads(t testing.TB, dsn string, yes bool) {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec("SET GLOBAL local_infile = ?", yes); err != nil {
		t.Fatal(err)
	}
}

// loads is how often the writer's session has sent LOAD DATA.
func (f *fixture) loads() (n int) {
	f.t.Helper()
	var name string
	if err := f.writer.session.QueryRowContext(f.t.Context(), "SHOW SESSION STATUS LIKE 'Com_load'").Scan(&name, &n); err != nil {
		f.t.Fatal(err)
	}
	return n
}

// insertOnly is f's upsert without LOAD DATA.
func insertOnly(f *fixture) dialect.Upsert {
	u := f.store.upserts[f.table]
	u.Bulk = nil
	return u
}

func TestMySQLByLoadData(t *testing.T) { suite(t, onMySQLWithLoads) }

// TestLoadDataReadsAsInsert writes rows of all sorts of values both ways.
func TestLoadDataReadsAsInsert(t *testing.T) {
	alphabet := []rune("\x00\x1a'\"\\%_\n\r\t\b,;()-#/*`NULXaé漢😀0")
	text := func(n int) any {
		var out []rune
		for range rand.IntN(n + 1) {
			out = append(out, alphabet[rand.IntN(len(alphabet))])
		}
		return string(out)
	}
	pick := func(values ...any) any { return values[rand.IntN(len(values))] }
	var events []event
	for i := range 4000 {
		events = append(events, event{int64(i), 0, fmt.Sprintf("%d:%s", i, text(12)), map[string]any{
			"n":       pick(nil, 0, -32768, 32767, "12", 1e3, true),
			"price":   pick(nil, -1.5, "1e3", "1234567890123456.7891", 0.123456789, 5),
			"note":    pick(nil, text(10), "NULL", `\N`, "", 12.50, true),
			"at":      pick(nil, "2024-02-29T23:59:59.9999Z", "2024-02-29 23:59:59", "2024-02-29T23:59:59+05:30", "2024-02-29"),
			"extra":   pick(nil, text(30), strings.Repeat("long ", 40), map[string]any{"a'": []any{1, `x"\`}}),
			"on_sale": pick(nil, true, false, 1, 0),
		}})
	}
	got := map[bool]map[string]string{}
	for _, fast := range []bool{true, false} {
		f := newFixture(t, onMySQLWithLoads(t), false)
		if !fast {
			f.store.upserts[f.table] = insertOnly(f)
		}
		if refused := f.apply(events...); len(refused) > 0 {
			t.Errorf("refused: %q", refused)
		}
		if n := f.loads(); (n > 0) != fast {
			t.Errorf("%d times LOAD DATA, want it: %t", n, fast)
		}
		got[fast] = f.column("CONCAT_WS('|', HEX(id), n, price, HEX(note), at, HEX(extra), on_sale, ISNULL(n), ISNULL(price), ISNULL(note), ISNULL(at), ISNULL(extra), ISNULL(on_sale), HEX(_mr_version))")
	}
	if d := cmp.Diff(got[false], got[true]); d != "" || len(got[true]) != len(events) {
		t.Errorf("%d rows; by INSERT and by LOAD DATA (-insert +load):\n%s", len(got[true]), d)
	}
}

// TestLoadDataRefuses: LOAD DATA LOCAL would cut and round what does not fit; those rows are refused all the same.
func TestLoadDataRefuses(t *testing.T) {
	bad := map[string]map[string]any{
		"range": {"n": 40_000}, "digits": {"price": "1e40"}, "long": {"note": "12345678901"},
		"month": {"at": "2024-13-01T00:00:00Z"}, "boolean": {"on_sale": 300}, "this key is much too long": {"n": 1},
	}
	f := newFixture(t, onMySQLWithLoads(t), false)
	want := map[string]string{}
	var events []event
	for i := range 50 {
		key := fmt.Sprint("good ", i)
		events = append(events, event{int64(len(events)), 0, key, row(i)})
		want[key] = fmt.Sprint(i)
	}
	for key, columns := range bad {
		events = append(events, event{int64(len(events)), 0, key, columns})
	}
	refused := map[string]map[string]any{}
	for _, r := range f.apply(events...) {
		key, _, _ := strings.Cut(r, ":")
		refused[key] = bad[key]
	}
	if !maps.EqualFunc(refused, bad, func(a, b map[string]any) bool { return cmp.Equal(a, b) }) {
		t.Errorf("refused %v, want %v", refused, bad)
	}
	f.want(want)
	if f.loads() == 0 || f.store.upserts[f.table].Bulk.Rows(1) == 0 {
		t.Error("not by LOAD DATA")
	}
}

// TestLoadDataOnce: once a value did not fit, the rest of the rows are not loaded again and again.
func TestLoadDataOnce(t *testing.T) {
	f := newFixture(t, onMySQLWithLoads(t), false)
	f.store.cfg.StatementRows = 10
	events := []event{{100, 0, "z", map[string]any{"n": 40_000}}}
	for i := range 100 {
		events = append(events, event{int64(i), 0, fmt.Sprint(i), row(i)})
	}
	_, err := f.writer.apply(t.Context(), newBatch(rows.NewDecoder(), f.job(events...)))
	if _, ok := errors.AsType[*dialect.RefusedError](err); !ok {
		t.Errorf("%v, want a *dialect.RefusedError", err)
	}
	if n := f.loads(); n != 1 {
		t.Errorf("%d times LOAD DATA, want 1", n)
	}
}

// TestLoadDataRefused: a server that stops taking LOAD DATA, or its temporary table, is sent INSERTs.
func TestLoadDataRefused(t *testing.T) {
	for name, spoil := range map[string]func(*testing.T, *fixture){
		"not allowed any more": func(t *testing.T, f *fixture) { allowLoads(t, f.pipeline.Database.MySQL.Reveal(), false) },
		"full":                 func(t *testing.T, f *fixture) { f.exec(t, "SET max_heap_table_size = 16384, tmp_table_size = 16384") },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, onMySQLWithLoads(t), false)
			spoil(t, f)
			var events []event
			for i := range 500 {
				events = append(events, event{int64(i), 0, fmt.Sprint(i), row(i)})
			}
			b := newBatch(rows.NewDecoder(), f.job(events...))
			if _, err := f.writer.apply(t.Context(), b); !errors.Is(err, dialect.ErrBulk) {
				t.Fatalf("%v, want dialect.ErrBulk", err)
			}
			if n := len(f.column("n")); n != 0 {
				t.Errorf("%d rows of a transaction that is to begin again", n)
			}
			if _, err := f.writer.apply(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if n := len(f.column("n")); n != len(events) {
				t.Errorf("%d rows, want %d", n, len(events))
			}
		})
	}
}

// TestLoadDataAfterTheTableWasAltered: the temporary table has the columns that the table has now.
func TestLoadDataAfterTheTableWasAltered(t *testing.T) {
	f := newFixture(t, onMySQLWithLoads(t), false)
	exact := func(raw int64, want string) {
		t.Helper()
		f.apply(event{raw, 0, "a", map[string]any{"price": json.Number("1.12345678"), "note": "0123456789"}})
		if got := f.column("CONCAT(price, ' ', note)")["a"]; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	exact(0, "1.1235 0123456789")
	if _, err := f.store.db.Exec("ALTER TABLE things MODIFY price decimal(24,8), MODIFY note varchar(20)"); err != nil {
		t.Fatal(err)
	}
	exact(1, "1.12345678 0123456789")
	if f.loads() != 2 {
		t.Errorf("%d times LOAD DATA, want 2", f.loads())
	}
}

func (f *fixture) exec(t *testing.T, statement string) {
	t.Helper()
	if _, err := f.writer.session.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
