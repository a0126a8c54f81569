package sink

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
)

// A swap gives the name of a stream's table to the table of another line, and is in the table millrace_swaps until it
// is done:
//
//	freeze   nobody owns the partitions of the live line: its table stands still. The other line comes as far
//	rename   nobody owns those of the other line either; the tables are renamed
//	(gone)   whose table has which name is in millrace_owners, in the transaction that ends the swap
//
// Each step is taken by one connection, which has the lock of the swap, and which is never opened again: if it is lost,
// so is the swap. Whoever gets the lock finds no driver, and ends what is there: freeze is cleared; rename is cleared
// if the tables have their names of before, else it is finished.

// SwapLine is one of the two lines of a swap.
type SwapLine struct {
	Number   uint16
	Pipeline string // that its stages run
	Table    string // name of its table while it is not live
}

// Swap is what is to be swapped.
type Swap struct {
	Pipeline, Stream string // of the file
	Table            string // the name that readers know
	From, To         SwapLine
}

func (x Swap) exchange() dialect.Exchange {
	return dialect.Exchange{Table: x.Table, Aside: x.From.Table, Next: x.To.Table}
}

func (x Swap) lock() string { return x.Pipeline + " " + x.Stream }

func (l SwapLine) processed(stream string) string { return topics.Processed(l.Pipeline, stream) }

// RenameError says that the tables could not be renamed, because others held them.
type RenameError struct {
	Table string
	Tries int
	Err   error
}

func (e *RenameError) Error() string {
	return fmt.Sprintf("table %s: it was held by other sessions at each of %d attempts to rename it, of a second each: %v", e.Table, e.Tries, e.Err)
}

// Unwrap returns what the database answered at last.
func (e *RenameError) Unwrap() error { return e.Err }

// Swapper swaps the tables of two lines. It is for one goroutine, and must be closed.
type Swapper struct {
	// Before and After, if they are not nil, are called around each statement of the steps, with the statement. An
	// error ends the step there. They are for tests.
	Before, After func(statement string) error

	store   *store
	dialect dialect.Swapper
	swap    Swap
	by      string
	conn    *sql.Conn // the only one; nil: not open
	release func()    // the lock; nil: it is not held
	attempt []byte
}

// OpenSwapper opens the database of p. It makes no connection. by is who swaps, for people.
func OpenSwapper(p *pipeline.Pipeline, x Swap, by string) (*Swapper, error) {
	d, err := newDialect(p)
	if err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	ds, ok := d.(dialect.Swapper)
	if !ok {
		return nil, fmt.Errorf("sink: %s swaps no tables", d.Name())
	}
	s := &Swapper{store: &store{dialect: d, cfg: DefaultConfig(), pipeline: p.Name, statements: d.Statements()}, dialect: ds, swap: x, by: by}
	if err := s.store.open(); err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	return s, nil
}

// Close gives the connections back, and with them the lock.
func (s *Swapper) Close() {
	s.disconnect()
	s.store.close()
}

// Obstacles says what forbids the swap, each with its remedy. to is the stream of the line whose table is to be read;
// known are the columns that the pipeline writes.
func (s *Swapper) Obstacles(ctx context.Context, to *pipeline.Stream, known []string) (out []string, err error) {
	made, err := s.store.dialect.Made(ctx, s.store.db, []string{s.swap.Table, s.swap.From.Table, s.swap.To.Table})
	if err != nil {
		return nil, s.store.dialect.Classify(err)
	}
	for _, name := range []string{s.swap.Table, s.swap.To.Table} {
		if _, there := made[strings.ToLower(name)]; !there {
			return []string{fmt.Sprintf("the table %s is not there", name)}, nil
		}
	}
	if _, there := made[strings.ToLower(s.swap.From.Table)]; there {
		out = append(out, fmt.Sprintf("there is a table %s, which is what %s will be called: rename it, or drop it", s.swap.From.Table, s.swap.Table))
	}
	more, err := s.dialect.Obstacles(ctx, s.store.db, s.swap.exchange(), append([]string{rows.VersionColumn}, known...))
	if err != nil {
		return nil, s.store.dialect.Classify(err)
	}
	t := rows.NewTable(to)
	t.Name = s.swap.To.Table
	add, _, err := s.store.dialect.Indexes(ctx, s.store.db, t, s.swap.Table)
	if add != "" {
		more = append(more, fmt.Sprintf("%s lacks indexes of %s: %s", t.Name, s.swap.Table, add))
	}
	return append(out, more...), s.store.dialect.Classify(err)
}

// Readers names the sessions that a swap has to wait for: see [dialect.Swapper].
func (s *Swapper) Readers(ctx context.Context, since time.Time, longer time.Duration) ([]string, error) {
	out, err := s.dialect.Readers(ctx, s.store.db, s.swap.exchange(), since, longer)
	return out, s.store.dialect.Classify(err)
}

// own locks the row of a table, so that no claim of it is under way, and checks whose it is, and that no replay of it
// has begun meanwhile: that one would not find its table again.
func (s *Swapper) own(ctx context.Context, table string, l SwapLine) error {
	if _, err := s.exec(ctx, s.store.statements.NewOwner, table); err != nil {
		return err
	}
	is, err := s.store.ownedNow(ctx, s.conn, table)
	if err != nil {
		return err
	}
	if is.pipeline != l.Pipeline || is.stream != s.swap.Stream {
		return fmt.Errorf("table %s: line %d does not write it: the owner is the stream %q of %q; has a sink run since it was made?", table, l.Number, is.stream, is.pipeline)
	}
	if is.marking {
		return fmt.Errorf("table %s: a replay of line %d is under way: swap when it has ended", table, l.Number)
	}
	return nil
}

// disown takes the claims on a line back. Its batches in hand are waited for.
func (s *Swapper) disown(ctx context.Context, l SwapLine) error {
	_, err := s.exec(ctx, "UPDATE millrace_offsets SET owner = NULL WHERE topic = ?", l.processed(s.swap.Stream))
	return err
}

// Freeze is the first step: when it has returned, nothing changes the live table any more.
func (s *Swapper) Freeze(ctx context.Context) error {
	s.attempt = make([]byte, 16)
	if _, err := rand.Read(s.attempt); err != nil {
		return err
	}
	x := s.swap
	return s.transact(ctx, func() error {
		if err := s.own(ctx, x.Table, x.From); err != nil {
			return err
		}
		if _, err := s.exec(ctx, "INSERT INTO millrace_swaps (pipeline, stream, step, attempt, step_at, by_whom, from_line, to_line, from_pipeline, to_pipeline,"+
			" table_name, from_table, to_table) VALUES (?, ?, 'freeze', ?, "+s.store.statements.Now+", ?, ?, ?, ?, ?, ?, ?, ?)",
			x.Pipeline, x.Stream, s.attempt, s.by, x.From.Number, x.To.Number, x.From.Pipeline, x.To.Pipeline, x.Table, x.From.Table, x.To.Table); err != nil {
			return err
		}
		return s.disown(ctx, x.From)
	})
}

// Rename is the second step, and renames the tables. What the other line has applied is at least what the live one has,
// or rows go back. It returns a *[RenameError] if the tables are held by others for too long; then, as after any other
// error but a lost connection, Clear is next.
func (s *Swapper) Rename(ctx context.Context) error {
	x := s.swap
	if err := s.free(ctx, x.From.Table); err != nil {
		return err
	}
	if err := s.transact(ctx, func() error {
		if err := s.own(ctx, x.Table, x.From); err != nil { // once more: nobody took it from us, but a replay may have begun
			return err
		}
		if err := s.own(ctx, x.To.Table, x.To); err != nil {
			return err
		}
		n, err := s.exec(ctx, "UPDATE millrace_swaps SET step = 'rename', step_at = "+s.store.statements.Now+
			" WHERE pipeline = ? AND stream = ? AND attempt = ?", x.Pipeline, x.Stream, s.attempt)
		if err != nil {
			return err
		}
		if n != 1 {
			return ErrSwapLost
		}
		return s.disown(ctx, x.To)
	}); err != nil {
		return err
	}
	statements, transactional := s.dialect.Rename(x.exchange())
	if transactional {
		return nil // Finish does it
	}
	return s.rename(ctx, statements[0])
}

// free returns an error if a table has the name that the live one is to get: it would look as if all were renamed.
func (s *Swapper) free(ctx context.Context, name string) error {
	made, err := s.store.dialect.Made(ctx, s.store.db, []string{name})
	if err != nil {
		return s.store.dialect.Classify(err)
	}
	if _, there := made[strings.ToLower(name)]; there {
		return fmt.Errorf("there is a table %s by now, which is what %s will be called: rename it, or drop it", name, s.swap.Table)
	}
	return nil
}

const (
	renameTries = 10
	renamePause = 300 * time.Millisecond // in which readers that have waited get the table
)

// rename tries so often: while it waits, it holds up all who come later.
func (s *Swapper) rename(ctx context.Context, statement string) error {
	for try := 1; ; try++ {
		_, err := s.exec(ctx, statement)
		if err == nil {
			return nil
		}
		if s.store.dialect.Reason(err) != dialect.LockTimeout {
			return s.store.dialect.Classify(err)
		}
		if try == renameTries {
			return &RenameError{s.swap.Table, try, err}
		}
		if stopped := stage.Sleep(ctx, renamePause); stopped != nil {
			return err
		}
	}
}

// Finish is the last step: the tables have their names, and the lines their tables.
func (s *Swapper) Finish(ctx context.Context) error { return s.finish(ctx, s.swap, s.attempt, true) }

// finish names everything. Where the renames belong to the transaction they are in it, unless they are done.
func (s *Swapper) finish(ctx context.Context, x Swap, attempt []byte, rename bool) error {
	made, err := s.store.dialect.Made(ctx, s.store.db, []string{x.Table, x.From.Table, x.To.Table})
	if err != nil {
		return s.store.dialect.Classify(err)
	}
	return s.transact(ctx, func() error {
		n, err := s.exec(ctx, "DELETE FROM millrace_swaps WHERE pipeline = ? AND stream = ? AND attempt = ?", x.Pipeline, x.Stream, attempt)
		if err != nil {
			return err
		}
		if n != 1 {
			return ErrSwapLost
		}
		if statements, transactional := s.dialect.Rename(x.exchange()); transactional && rename {
			for _, statement := range statements {
				if _, err := s.exec(ctx, statement); err != nil {
					return err
				}
			}
		}
		for _, do := range x.names(made) {
			if _, err := s.exec(ctx, do.statement, do.args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// naming is a statement of the last step.
type naming struct {
	statement string
	args      []any
}

// names are the statements by which the lines have their tables under the other names.
func (x Swap) names(made map[string]string) []naming {
	from, to := x.From.processed(x.Stream), x.To.processed(x.Stream)
	const owner, table = "UPDATE millrace_owners SET table_name = ? WHERE table_name = ?", "UPDATE millrace_tables SET name = ?, made = ? WHERE topic = ? AND name = ?"
	return []naming{
		// of a claim that came too late for its table
		{"DELETE FROM millrace_owners WHERE table_name = ?", []any{x.From.Table}},
		{owner, []any{x.From.Table, x.Table}},
		{owner, []any{x.Table, x.To.Table}},
		{"DELETE FROM millrace_tables WHERE topic = ? AND name = ?", []any{from, x.From.Table}},
		{"DELETE FROM millrace_tables WHERE topic = ? AND name = ?", []any{to, x.Table}},
		{table, []any{x.From.Table, made[strings.ToLower(x.From.Table)], from, x.Table}},
		{table, []any{x.Table, made[strings.ToLower(x.Table)], to, x.To.Table}},
	}
}

// Clear ends a swap after an error of one of its steps: all is as before. If the tables have been renamed all the same,
// the swap is finished instead, and finished is true. It may be called again.
func (s *Swapper) Clear(ctx context.Context) (finished bool, err error) {
	state, err := s.state(ctx)
	if err != nil || state == nil {
		return false, err
	}
	return s.end(ctx, state)
}
