package sink

import (
	"context"
	"database/sql"
	"time"

	"github.com/millrace-io/millrace/pipeline"
)

// dialect is one kind of database: MySQL and SQLite so far. Everything else about a transaction is the same for all.
type dialect interface {
	quoter
	// name is how people call it.
	name() string
	// open returns a pool whose sessions wait so long for a lock; it makes no connection.
	open(lockWait time.Duration) (*sql.DB, error)
	// begin is the statement that begins a writing transaction.
	begin() string
	// now is the expression of the current time in UTC.
	now() string
	// connectionID returns the server's id of a connection, 0 if there is none.
	connectionID(ctx context.Context, c *sql.Conn) (uint64, error)
	// ignoring is the end of an INSERT that leaves a row that is there as it is; column is one of the primary key's.
	ignoring(column string) string
	// insert is what comes before the rows of an upsert into t, and merge what comes after them: a row takes the new
	// values if their version is higher.
	insert(t *table) string
	merge(t *table) string
	// bulk is the fast way of an upsert into t, after inspect; nil if there is none.
	bulk(t *table) *bulk
	// mergeMarks is merge for millrace_marks.
	mergeMarks() string
	// inspect looks which server it is, and says how long a statement may be.
	inspect(ctx context.Context, db *sql.DB) (statementBytes int, err error)
	// create returns the statements that make what is missing: millrace's own tables, and t.
	createOwn() []string
	createTable(t *table) string
	// check says what in the existing table does not fit t.
	check(ctx context.Context, db *sql.DB, t *table) ([]string, error)
	// evict ends the connections, if they are still there, of owners that hold locks; it returns how many it ended.
	evict(ctx context.Context, db *sql.DB, connections []uint64) (int, error)
	// locked reports whether a statement gave up waiting for a lock.
	locked(err error) bool
}

// newDialect returns the dialect of p's database.
func newDialect(p *pipeline.Pipeline) (dialect, error) {
	if p.Database.Embedded {
		return newSQLite(p), nil
	}
	return newMySQL(p.Database.MySQL)
}

const (
	offsetsTable  = "millrace_offsets"
	marksTable    = "millrace_marks"
	versionColumn = "_mr_version"
)
