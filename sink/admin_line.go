package sink

import (
	"context"
	"fmt"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// HasTable reports whether the database has a table of that name.
func (a *Admin) HasTable(ctx context.Context, name string) (bool, error) {
	_, there, err := a.store.made(ctx, &rows.Table{Name: name})
	return there, err
}

// MakeLine makes the table of a line, of which a is, like the table that is read: with the columns and checks that
// somebody has added to that one, but without its indexes, which [Admin.AddIndexes] adds once it is filled. by is the
// logic by which that one is written: of its columns those stay away that the line does not have. Without a table that
// is read it is made by the line's columns. An empty table that is there is made again: a death in between may have
// left it. The error is a *[TableError] if the database refuses it.
func (a *Admin) MakeLine(ctx context.Context, stream, live string, by *pipeline.Stream) error {
	st, err := a.stream(stream)
	if err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	if err := a.prepare(ctx); err != nil {
		return fmt.Errorf("sink: stream %s: %w", stream, err)
	}
	t := rows.NewTable(st)
	if err := a.clear(ctx, t); err != nil {
		return err
	}
	statements := []string{a.store.dialect.CreateTable(t)}
	like, err := a.HasTable(ctx, live)
	if err == nil && like {
		statements, err = a.store.dialect.Like(ctx, a.store.db, t, live, rows.NewTable(by))
	}
	if err != nil {
		return a.store.tableError(t, "look at "+live, err)
	}
	for _, statement := range statements {
		if _, err := a.store.db.ExecContext(ctx, statement); err != nil {
			return a.store.tableError(t, "make it like "+live, err)
		}
	}
	problems, err := a.store.dialect.Check(ctx, a.store.db, t)
	if err != nil {
		return a.store.tableError(t, "look at it", err)
	}
	if len(problems) > 0 {
		return &TableError{Table: t.Name, Problems: problems}
	}
	return nil
}

// clear removes t if it is there and empty.
func (a *Admin) clear(ctx context.Context, t *rows.Table) error {
	there, err := a.HasTable(ctx, t.Name)
	if err != nil || !there {
		return err
	}
	var filled bool
	if err := a.store.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+dialect.Quote(t.Name)+")").Scan(&filled); err != nil {
		return a.store.tableError(t, "read it", err)
	}
	if filled {
		return &TableError{Table: t.Name, Problems: []string{"there is a table of this name with rows, which is not millrace's: rename it"}}
	}
	if _, err := a.store.db.ExecContext(ctx, "DROP TABLE "+dialect.Quote(t.Name)); err != nil {
		return a.store.tableError(t, "drop it", err)
	}
	return nil
}

// AddIndexes gives the table of a line, of which a is, the indexes of the table that is read. It may take hours, and
// the table is written meanwhile; called again it adds what is missing. It returns those that it did not add, each with
// the reason.
func (a *Admin) AddIndexes(ctx context.Context, stream, live string) (left []string, err error) {
	st, err := a.stream(stream)
	if err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	t := rows.NewTable(st)
	db, err := a.store.dialect.OpenLong(a.store.cfg.LockTimeout)
	if err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	defer func() { _ = db.Close() }()
	if there, err := a.HasTable(ctx, live); err != nil || !there {
		return nil, err
	}
	add, left, err := a.store.dialect.Indexes(ctx, db, t, live)
	if err != nil {
		return nil, a.store.tableError(t, "look at "+live, err)
	}
	if add == "" {
		return left, nil
	}
	if _, err := db.ExecContext(ctx, add); err != nil {
		return left, a.store.tableError(t, "add its indexes", err)
	}
	return left, nil
}
