package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/millrace-io/millrace/sink/rows"
)

// Like makes t by its columns alone: SQLite has no LIKE, and is for trying out.
func (s *Dialect) Like(_ context.Context, _ *sql.DB, t *rows.Table, _ string, _ *rows.Table) ([]string, error) {
	return []string{s.CreateTable(t)}, nil
}

// Indexes are none: see Like.
func (*Dialect) Indexes(context.Context, *sql.DB, *rows.Table, string) (add string, left []string, err error) {
	return "", nil, nil
}

// OpenLong is Open: there is no answer to wait for.
func (s *Dialect) OpenLong(lockWait time.Duration) (*sql.DB, error) { return s.Open(lockWait) }
