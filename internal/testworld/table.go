package testworld

import (
	"context"
	"database/sql"
	"fmt"
	"maps"

	"github.com/millrace-io/millrace/internal/testkit"
)

// Read returns a table: of each row n, and the status if it has one, by its key. It may be called concurrently.
func (w *World) Read(table string) (map[string]string, error) {
	found, err := w.DB.QueryContext(context.WithoutCancel(w.T.Context()), "SELECT * FROM "+table)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	names, err := found.Columns()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	values, into := make([]sql.NullString, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for found.Next() {
		if err := found.Scan(into...); err != nil {
			return nil, err
		}
		key, text := "", ""
		for i, name := range names {
			switch name {
			case "id", "code":
				key = values[i].String
			case "n", "status":
				text += values[i].String
			}
		}
		out[key] = text
	}
	return out, found.Err()
}

// Becomes waits until a table is what a fresh run of a logic makes of what was written before the call.
func (w *World) Becomes(table string, l Logic) {
	w.T.Helper()
	want := l.Fresh(w.Raws())
	testkit.Eventually(w.T, Patience, func() error {
		got, err := w.Read(table)
		if err == nil && !maps.Equal(got, want) {
			err = fmt.Errorf("%s has %d rows, want %d: %v, want %v", table, len(got), len(want), got, want)
		}
		return err
	})
}
