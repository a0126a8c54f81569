package sink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// Field is a column of a row; Value is as the database writes it as text, nil for null.
type Field struct {
	Column string  `json:"column"`
	Value  *string `json:"value"`
}

// Row returns the row of a change's key as it is now, millrace's own column left out; nil if there is none, or no
// table.
func (a *Admin) Row(ctx context.Context, stream string, x *rows.Change) ([]Field, error) {
	if _, err := a.stream(stream); err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	s := a.store
	//nolint:unqueryvet // it asks which columns there are
	query := fmt.Appendf(nil, "SELECT * FROM %s WHERE (%s) = (", dialect.Quote(x.Table.Name), dialect.KeyNames(x.Table))
	query = append(dialect.AppendValues(query, s.dialect, x.Key), ')')
	found, err := s.db.QueryContext(ctx, string(query))
	if s.dialect.Missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sink: stream %s: read a row: %w", stream, s.dialect.Classify(err))
	}
	defer func() { _ = found.Close() }()
	names, err := found.Columns()
	if err != nil || !found.Next() {
		return nil, errors.Join(err, found.Err())
	}
	values, into := make([]sql.RawBytes, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	if err := found.Scan(into...); err != nil {
		return nil, err
	}
	var out []Field
	for i, name := range names {
		if name != rows.VersionColumn {
			out = append(out, Field{name, text(values[i])})
		}
	}
	return out, found.Err()
}
