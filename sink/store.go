package sink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// writerLockWait is how long a writer waits for a row lock before it gives its transaction up: sinks share no rows,
// so it is somebody else's, and while we wait no partition can be taken from us.
const writerLockWait = 10 * time.Second

// store is the database: its tables, its pools, and marks that are old. Claims are in claim.go, what writers do in
// writer.go.
type store struct {
	dialect dialect.Dialect
	cfg     Config
	owner   string  // owner_name of claims
	db      *sql.DB // for everything but writing: schema, claims, marks that are old
	writers *sql.DB // for the writers, which keep their connections

	// These are known after prepare, and read-only.
	bytes      int // of a statement, at most
	statements dialect.Statements
	upserts    map[*rows.Table]dialect.Upsert
}

// open opens the pools; it makes no connection.
func (s *store) open() (err error) {
	if s.db, err = s.dialect.Open(s.cfg.LockTimeout); err != nil {
		return err
	}
	s.writers, err = s.dialect.Open(writerLockWait)
	return err
}

func (s *store) close() {
	for _, db := range []*sql.DB{s.db, s.writers} {
		if db != nil {
			_ = db.Close()
		}
	}
}

// prepare makes the tables that are missing and checks those that are there. No writer's connection runs DDL.
func (s *store) prepare(ctx context.Context, tables []*rows.Table) error {
	if err := s.db.PingContext(ctx); err != nil {
		return s.dialect.Classify(err)
	}
	n, err := s.dialect.Inspect(ctx, s.db)
	if err != nil {
		return err
	}
	s.bytes, s.statements, s.upserts = min(n, s.cfg.StatementBytes), s.dialect.Statements(), map[*rows.Table]dialect.Upsert{}
	for _, statement := range s.dialect.CreateOwn() {
		if _, err := s.db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("create millrace's own tables: %w", s.dialect.Classify(err))
		}
	}
	var errs []error
	for _, t := range tables {
		s.upserts[t] = s.dialect.Upsert(t)
		if _, err := s.db.ExecContext(ctx, s.dialect.CreateTable(t)); err != nil {
			return fmt.Errorf("create table %s: %w", t.Name, s.dialect.Classify(err))
		}
		problems, err := s.dialect.Check(ctx, s.db, t)
		if err != nil {
			return fmt.Errorf("look at table %s: %w", t.Name, err)
		}
		if len(problems) > 0 {
			errs = append(errs, &TableError{t.Name, problems})
		}
	}
	return errors.Join(errs...)
}

// prune removes some of the marks that are older than their retention. It returns how many.
func (s *store) prune(ctx context.Context) (removed int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	before := time.Now().UTC().Add(-s.cfg.MarkRetention).Format("2006-01-02 15:04:05.000000")
	result, err := s.db.ExecContext(ctx, s.statements.PruneMarks, before)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
