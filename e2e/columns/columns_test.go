// Package columns_test runs pipelines with a column of every type on the embedded Kafka, and looks at what arrives in
// the database.
package columns_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/millrace-io/millrace/internal/columntype"
	"github.com/millrace-io/millrace/internal/process"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/pipeline/file"
	"github.com/millrace-io/millrace/topics"
)

func TestMain(m *testing.M) { testservers.Main(m) }

// good are values that arrive, as the database shows them as text.
var good = []struct{ columnType, json, want string }{
	{"bigint", `-9223372036854775808`, "-9223372036854775808"},
	{"bigint unsigned", `9223372036854775807`, "9223372036854775807"},
	{"int", `1.2e3`, "1200"},
	{"mediumint", `8388607`, "8388607"},
	{"smallint", `"42"`, "42"},
	{"tinyint", `-128`, "-128"},
	{"tinyint(1)", `true`, "1"},
	{"boolean", `false`, "0"},
	{"year", `2024`, "2024"},
	{"year", `"1901"`, "1901"},
	{"decimal(12,2)", `12345678.91`, "12345678.91"},
	{"double", `0.5`, "0.5"},
	{"float", `"0.25"`, "0.25"},
	{"varchar(10)", `"été"`, "été"},
	{"char(5)", `"ab"`, "ab"},
	{"text", `1.50`, "1.50"},
	{"tinytext", `"tiny"`, "tiny"},
	{"mediumtext", `true`, "true"},
	{"longtext", `{"a":1}`, `{"a":1}`},
	{"varbinary(10)", `"aé"`, "aé"},
	{"blob", `"a\u0001é"`, "a\x01é"},
	{"tinyblob", `"tiny"`, "tiny"},
	{"mediumblob", `"medium"`, "medium"},
	{"longblob", `"long"`, "long"},
	{"date", `"2024-02-29T23:59:59-02:00"`, "2024-03-01"},
	{"datetime", `"2024-02-29T23:59:59Z"`, "2024-02-29 23:59:59"},
	{"timestamp", `"2024-02-29T23:59:59Z"`, "2024-02-29 23:59:59"},
	{"time", `"2024-02-29T23:59:59Z"`, "23:59:59"},
	{"json", `[1,2]`, "[1,2]"},
}

// refused are values that no database is given. SQLite would take any.
var refused = []struct{ columnType, json string }{
	{"year", `24`}, {"year", `true`}, {"year", `"24"`}, {"year", `2024.5`},
	{"blob", `1`}, {"tinyblob", `{"a":1}`}, {"tinyint(1)", `"yes"`}, {"tinyint(1)", `0.5`}, {"mediumint", `[]`},
}

func TestEveryTypeIsTried(t *testing.T) {
	for _, name := range columntype.Names() {
		if !slices.ContainsFunc(good, func(g struct{ columnType, json, want string }) bool {
			return columntype.Of(g.columnType).Name() == name
		}) {
			t.Errorf("no value of a %s column is tried", name)
		}
	}
}

func TestColumnTypesSQLite(t *testing.T) {
	dir := t.TempDir()
	suite(t, dir, "embedded", "TEXT", func() (*sql.DB, error) {
		return sql.Open("sqlite", "file:"+filepath.Join(dir, "millrace.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	})
}

// suite fetches one record with all good values and one for each refused value, and waits for the row and the letters.
func suite(t *testing.T, dir, database, textType string, open func() (*sql.DB, error)) {
	t.Helper()
	var columns, shown, fields, records strings.Builder
	for i, g := range good {
		fmt.Fprintf(&columns, ", g%d: '%s'", i, g.columnType)
		fmt.Fprintf(&shown, ", CAST(g%d AS %s)", i, textType)
		fmt.Fprintf(&fields, `, "g%d": %s`, i, g.json)
	}
	for i, r := range refused {
		fmt.Fprintf(&columns, ", r%d: '%s'", i, r.columnType)
		fmt.Fprintf(&records, `, {"id": %d, "r%d": %s}`, i+1, i, r.json)
	}
	body := `[{"id": 0` + fields.String() + `}` + records.String() + `]`
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(api.Close)
	p, err := file.Parse("types.yaml", fmt.Appendf(nil, `
pipeline: types
data_dir: %s
database: %s
http: {base_url: "%s"}
streams:
  all: {ingest: {path: /, key: id}, sink: {columns: {id: bigint key%s}}}
`, dir, database, api.URL, columns.String()), nil)
	if err != nil {
		t.Fatal(err)
	}
	x, err := process.New(t.Context(), p, process.Options{
		Stages: process.All, Instance: "test", Drain: 10 * time.Second, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	testkit.Run(t, x.Run)
	testkit.Eventually(t, 2*time.Minute, func() error { return compare(t.Context(), open, "SELECT id"+shown.String()+" FROM `all`") })

	got := map[string]string{}
	for _, r := range testkit.Await(t, p.Kafka.Brokers, len(refused), topics.DeadLetters(p.Name, "all")) {
		reason, _ := topics.Header(r, topics.HeaderReason)
		got[string(r.Key)] = string(reason)
	}
	for i, r := range refused {
		if reason := got[fmt.Sprint(i+1)]; !strings.Contains(reason, fmt.Sprintf("column r%d %s: ", i, r.columnType)) {
			t.Errorf("%s of %s: the letter's reason is %q", r.json, r.columnType, reason)
		}
	}
	if err := compare(t.Context(), open, "SELECT id"+shown.String()+" FROM `all`"); err != nil {
		t.Errorf("after the letters: %v", err)
	}
}

// compare expects one row, with the good values.
func compare(ctx context.Context, open func() (*sql.DB, error), query string) error {
	db, err := open()
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var problems []error
	n := 0
	for ; rows.Next(); n++ {
		values := make([]sql.NullString, len(good)+1)
		into := make([]any, len(values))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, g := range good {
			if got := strings.ReplaceAll(values[i+1].String, ", ", ","); !values[i+1].Valid || got != g.want {
				problems = append(problems, fmt.Errorf("%s of %s is %q, want %q", g.json, g.columnType, got, g.want))
			}
		}
	}
	if n != 1 {
		problems = append(problems, fmt.Errorf("%d rows, want 1", n))
	}
	return errors.Join(append(problems, rows.Err())...)
}
