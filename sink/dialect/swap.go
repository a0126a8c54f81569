package dialect

import (
	"context"
	"database/sql"
	"time"
)

// Exchange is a table that gives its name to another one, and takes a name of its own.
type Exchange struct {
	Table string // the name that readers know
	Aside string // what the table of that name is called afterwards; nothing has this name before
	Next  string // what the table is called that has the name afterwards
}

// Swapper is a [Dialect] in which a table can take the place of another one under the eyes of readers.
type Swapper interface {
	// Exclude takes a lock that one connection of all has at a time; got is false if another one has it. conn has the
	// lock until release, or, if it is ended, until the server has noticed, and has ended what conn was doing.
	Exclude(ctx context.Context, conn *sql.Conn, name string) (release func(), got bool, err error)
	// EndHolder ends the connection that has the lock, if there is one that can be ended.
	EndHolder(ctx context.Context, db *sql.DB, name string) error
	// Settle prepares a connection for an exchange: it waits for no lock for longer than a second, and stays for
	// minutes without being used.
	Settle(ctx context.Context, conn *sql.Conn) error
	// Age is the expression of how many microseconds ago a time was that a column has.
	Age(column string) string
	// Rename returns the statements that exchange the names, and whether they belong into the transaction that says so.
	// Where they do not, there is one statement, after which either all is done or nothing.
	Rename(x Exchange) (statements []string, transactional bool)
	// Complete returns the statement that goes on where a server stopped between the two renames.
	Complete(x Exchange) string
	// Obstacles says what forbids the exchange, each with its remedy. known are columns that the pipeline writes.
	Obstacles(ctx context.Context, db *sql.DB, x Exchange, known []string) ([]string, error)
	// Readers names, for people, sessions that the exchange must wait for: transactions that began before since and
	// would not see what was written to the next table since then, and whatever has held one of the tables for longer
	// than that.
	Readers(ctx context.Context, db *sql.DB, x Exchange, since time.Time, longer time.Duration) ([]string, error)
}
