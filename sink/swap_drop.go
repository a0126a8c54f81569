package sink

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// Disown is the first step of dropping the line to which the swap would be: no sink owns its partitions any more. The
// line is not the live one, or this is an error.
func (s *Swapper) Disown(ctx context.Context) error {
	x := s.swap
	return s.transact(ctx, func() error {
		is, err := s.store.ownedNow(ctx, s.conn, x.Table)
		if err != nil {
			return err
		}
		if is.pipeline == x.To.Pipeline {
			return fmt.Errorf("table %s: line %d is the one that is read", x.Table, x.To.Number)
		}
		return s.disown(ctx, x.To)
	})
}

// foreign returns a *[TableError] if the table of the line has rows, and no sink of the line has claimed it: somebody
// else has made one of this name.
func (s *Swapper) foreign(ctx context.Context) error {
	t := &rows.Table{Name: s.swap.To.Table}
	_, there, err := s.store.made(ctx, t)
	if err != nil || !there {
		return err
	}
	is, err := s.store.ownedNow(ctx, s.store.db, t.Name)
	if err != nil {
		return s.store.dialect.Classify(err)
	}
	if is.pipeline == s.swap.To.Pipeline && is.stream == s.swap.Stream {
		return nil
	}
	var filled bool
	if err := s.store.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+dialect.Quote(t.Name)+")").Scan(&filled); err != nil {
		return s.store.tableError(t, "read it", err)
	}
	if filled {
		return &TableError{Table: t.Name, Problems: []string{fmt.Sprintf("it has rows that are not of line %d: it is somebody else's, and stays. Rename it", s.swap.To.Number)}}
	}
	return nil
}

// Drop removes what the database has of that line: its table, and then what millrace's own tables say of it. Marks stay
// until they are old: nobody reads them. It may be called again. The error is a *[TableError] if the table is not the
// line's.
func (s *Swapper) Drop(ctx context.Context) error {
	x := s.swap
	if err := s.foreign(ctx); err != nil {
		return err
	}
	drop := "DROP TABLE IF EXISTS " + dialect.Quote(x.To.Table)
	for try := 1; ; try++ {
		_, err := s.exec(ctx, drop)
		if err == nil {
			break
		}
		if try == renameTries || s.store.dialect.Reason(err) != dialect.LockTimeout {
			return s.store.dialect.Classify(err)
		}
		if stopped := stage.Sleep(ctx, time.Second); stopped != nil {
			return err
		}
	}
	topic := x.To.processed(x.Stream)
	return s.transact(ctx, func() error {
		for _, do := range []naming{
			{"DELETE FROM millrace_owners WHERE table_name = ?", []any{x.To.Table}},
			{"DELETE FROM millrace_offsets WHERE topic = ?", []any{topic}},
			{"DELETE FROM millrace_tables WHERE topic = ?", []any{topic}},
			{"DELETE FROM millrace_caught_up WHERE topic = ?", []any{topic}},
		} {
			if _, err := s.exec(ctx, do.statement, do.args...); err != nil {
				return err
			}
		}
		return nil
	})
}
