package sink

import (
	"context"
	"fmt"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// Fits says whether a stream's table, if it is there, has the columns that the file names. The error is a *[TableError]
// with what to do if it has not.
func (a *Admin) Fits(ctx context.Context, stream string) error {
	st, err := a.stream(stream)
	if err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	t, s := rows.NewTable(st), a.store
	if err := s.db.PingContext(ctx); err != nil {
		return fmt.Errorf("sink: stream %s: %w", stream, s.dialect.Classify(err))
	}
	if _, err := s.db.ExecContext(ctx, "SELECT 1 FROM "+dialect.Quote(t.Name)+" LIMIT 0"); s.dialect.Missing(err) {
		return nil // it is made with the columns of the file
	}
	problems, err := s.dialect.Check(ctx, s.db, t)
	if err != nil {
		return s.tableError(t, "look at it", err)
	}
	if len(problems) > 0 {
		return &TableError{Table: t.Name, Problems: problems}
	}
	return nil
}
