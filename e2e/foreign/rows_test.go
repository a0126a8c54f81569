//go:build integration

package foreign_test

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite"

	"github.com/millrace-io/millrace/internal/testkit"
)

// query is the rows of a query on a SQLite file, a line each, in order. An error is one line, which equals nothing.
func query(t *testing.T, path, text string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&_pragma=busy_timeout(20000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(t.Context(), text)
	if err != nil {
		return []string{err.Error()}
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		values, into := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, v := range values {
			text := "NULL"
			if v.Valid {
				text = v.String
			}
			texts = append(texts, text)
		}
		out = append(out, strings.Join(texts, " | "))
	}
	if err := rows.Err(); err != nil {
		return []string{err.Error()}
	}
	slices.Sort(out)
	return out
}

// table is the user's own table of a pipeline on the embedded servers.
func (u *user) table(pipeline, text string) []string {
	u.t.Helper()
	return query(u.t, filepath.Join(u.dir, ".millrace", pipeline, "millrace.db"), text)
}

// same compares, and waits until both are equal where they may still become so.
func same(t *testing.T, what string, want, got func() []string) {
	t.Helper()
	equal := func() bool {
		w := want()
		return len(w) > 0 && slices.Equal(w, got())
	}
	if !equal() {
		defer func() {
			if t.Failed() {
				t.Logf("%s (-server +table):\n%s", what, cmp.Diff(want(), got()))
			}
		}()
		testkit.Eventually(t, patience, testkit.That(what+": the table is what the server has", equal))
	}
	t.Logf("%s: %d rows, equal in every value", what, len(want()))
}
