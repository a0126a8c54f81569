package sink

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/sink/dialect"
)

// Disown is the first step of dropping the line to which the swap would be: no sink owns its partitions any more. The line is not the live
// one, or this is an error.
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

// Drop removes what the database has of that line: its table, and then what millrace's own tables say of it. Marks stay until they are
// old: nobody reads them. It may be called again.
func (s *Swapper) Drop(ctx context.Context) error {
	x := s.swap
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
