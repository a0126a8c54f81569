// Package dialect is the seam between the sink and a kind of database. Whatever differs from one database to the next
// is behind it: statements, literals, errors, locks, the way of many rows, and the definitions of tables. The sink
// knows the order in which things happen, and asks no dialect for its name but to show it.
//
// The implementations are mysql and sqlite. One suite of the sink's tests runs over all.
package dialect

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/millrace-io/millrace/sink/rows"
)

// Dialect is one kind of database. Its methods may be called concurrently, Inspect before all but Open, Name and
// Writers.
type Dialect interface {
	Literals
	// AppendList appends a list of literals to a statement, as a table called m with these columns.
	AppendList(dst []byte, columns string, list []rows.Values) []byte
	// Name is how people call it.
	Name() string
	// Place is where the rows are, for people: a file, or user@host:port/schema. It is without secrets.
	Place() string
	// Open returns a pool whose sessions wait so long for a lock; it makes no connection.
	Open(lockWait time.Duration) (*sql.DB, error)
	// Writers is how many connections may write at the same time.
	Writers() int
	// Inspect looks which server it is, and returns how long a statement may be, in bytes. The error is a
	// *[ServerError] if the sink cannot work with this one.
	Inspect(ctx context.Context, db *sql.DB) (statementBytes int, err error)
	// Statements are those on millrace's own tables that differ.
	Statements() Statements
	// CreateOwn returns the statements that make what is missing of millrace's own tables, and CreateTable the one
	// that makes t.
	CreateOwn() []string
	CreateTable(t *rows.Table) string
	// Temporary returns the statements that make t as a table of the session, without rows: like a table that is there,
	// but for the columns that this one lacks, or, if like is empty, as CreateTable makes it.
	Temporary(t *rows.Table, like string, lacks []rows.Column) []string
	// Like returns the statements that make t like a table that is there, with what somebody has added to that one, but
	// without its indexes, and with the columns of t. Columns of was that t lacks stay away.
	Like(ctx context.Context, db *sql.DB, t *rows.Table, like string, was *rows.Table) ([]string, error)
	// Indexes returns the statement that gives t the indexes of a table that is there; empty: it has them. left are
	// those that it cannot have, each with the reason.
	Indexes(ctx context.Context, db *sql.DB, t *rows.Table, like string) (add string, left []string, err error)
	// OpenLong is Open for statements that may take hours.
	OpenLong(lockWait time.Duration) (*sql.DB, error)
	// Same is the condition that two expressions of c's type have the same bytes, or are both null.
	Same(c rows.Column, a, b string) string
	// AddColumns adds what tables of millrace's own lack that a version before has made.
	AddColumns(ctx context.Context, db *sql.DB) error
	// Made says of those of the tables named that are there when they were made, as a text that changes when a table is
	// made again, and may change when its definition does; empty: not known.
	Made(ctx context.Context, db *sql.DB, names []string) (map[string]string, error)
	// Check says what in the existing table does not fit t, each with its remedy.
	Check(ctx context.Context, db *sql.DB, t *rows.Table) ([]string, error)
	// Upsert is how rows get into t.
	Upsert(t *rows.Table) Upsert
	// ConnectionID returns the server's id of a connection, 0 if it has none.
	ConnectionID(ctx context.Context, c *sql.Conn) (uint64, error)
	// Evict ends the connections, if they are still there, of owners that hold locks; it returns how many it ended.
	Evict(ctx context.Context, db *sql.DB, connections []uint64) (int, error)
	// Classify wraps err in a *[RefusedError] or a *[DefectError] if it is one; any other is tried again.
	Classify(err error) error
	// Missing reports whether err says that there is no table of that name.
	Missing(err error) bool
	// Reason says in a word why an attempt failed that will be tried again: one of the reasons below.
	Reason(err error) string
}

// SessionWait is after how long a session that is silent is ended by the server, and its transaction with it, where
// there is a server.
const SessionWait = 15 * time.Second

// The reasons to try again.
const (
	Deadlock    = "deadlock"
	LockTimeout = "lock_timeout" // of a row that another transaction holds
	Refused     = "refused"      // the server answered with any other error
	Connection  = "connection"   // no answer
)

// PruneAtOnce is how many marks PruneMarks removes: a transaction of some ten milliseconds.
const PruneAtOnce = 2000

// Statements are statements on millrace's own tables, with their arguments in this order.
type Statements struct {
	Begin      string // a writing transaction
	LockOffset string // reads next_offset and owner, and waits for whoever holds the row: topic, part
	// The lists of these begin with topic and part, in the order of which they lock rows.
	NewOffsets      Many // the rows of partitions, where there are none: topic_id, next_offset
	LockOffsets     Many // reads topic, part, topic_id, next_offset, high and witness, and waits for whoever holds a row
	ClaimOffsets    Many // owner, owner_name, connection_id
	FreeOffsets     Many // reads topic and part of the rows that nobody holds
	OwnersOfOffsets Many // reads the connections of the rows' owners
	OpenOffsets     Many // reads topic and part of the rows that nobody owns
	RenewOffsets    Many // begins positions again, in a topic of another id, or at another offset: topic_id, next_offset
	PublishOffsets  Many // sets the connection of rows that an owner has: owner, connection_id
	ReleaseOffsets  Many // gives up rows that an owner has: owner
	// MoveOffsets is the guard: owner, the next_offset that is expected, the new one, high, and the witness, or null to
	// keep the one that is there. HeldOffsets reads topic and part of
	// the rows that it would move.
	MoveOffsets, HeldOffsets Many

	// Of millrace_owners. NewOwner makes the row of a table, with no owner, where there is none, and locks it: table_name.
	// SetOwner: pipeline, stream, topic_id, epoch, table_name. ShareOwners and LockOwners end a query: who changes a row
	// waits until the transaction ends, or who reads it as well.
	NewOwner, SetOwner, ShareOwners, LockOwners string

	// PruneMarks removes PruneAtOnce of the marks of streams of a name that are older than a time, unless a table of
	// one of them is marking: stream, that time, stream.
	PruneMarks string
	CaughtUp   string // notes that a stream had caught up in this hour: topic
	Now        string // not a statement: the expression of the current time, in UTC
	MergeMarks string // the end of an INSERT into millrace_marks: a mark takes the higher version
}

// Upsert is how rows get into one table: a row takes the new values if their version is higher.
type Upsert struct {
	Insert string // comes before the rows' literals (AppendRow)
	Merge  string // comes after them
	Bulk   Bulk   // the way of many rows; nil: none
	// Probe are statements that write no row, and that the database refuses for whatever is in the way of every row: a
	// right or a column that is missing, a lock on the table.
	Probe []string
	// Bend comes before the literals instead of Insert, and AppendBend appends those of a row, which it numbers from 0:
	// where the database would refuse a row, it then stores another value, or leaves the row out. Bent tells, right
	// after the statement and its n rows, of which rows it did, in their order; false: it cannot tell of all. Empty and
	// nil where there is no such way.
	Bend       string
	AppendBend func(dst []byte, row int, x *rows.Change) []byte
	Bent       func(ctx context.Context, s *Session, n int) (list []Bent, whole bool, err error)
	// Spare is a DELETE without its condition: a row that the database would refuse to delete is spared. Spared tells,
	// right after the statement, with what it would have refused all of these; nil: there are none, or not all for the
	// same. Empty and nil where there is no such way.
	Spare  string
	Spared func(ctx context.Context, s *Session) (refusal, err error)
}

// Bent is one thing that a statement did to a row instead of what it would have refused.
type Bent struct {
	Row   int    // from 0
	Class string // the error and what it is about: what is done to rows of one class is done for the same
	Out   bool   // the row was left out; false: another value was stored
	Ended bool   // the statement was refused at this row
	// Refusals are what the database may answer to an INSERT of the row alone: for all rows of a class the answer at
	// the same place. None: not known.
	Refusals []error
}

// Bulk is a way of many rows into one table that is faster than INSERT. It may be used by several sessions
// concurrently.
type Bulk interface {
	// Rows says how many of n rows go this way at once; 0: none, for a while.
	Rows(n int) int
	// Upsert upserts at most so many rows. It reports false, and has written nothing, if one of them does not fit:
	// INSERT then finds it. The error is an [ErrBulk] if the server refuses the way as such: the transaction is to
	// begin again, and Rows says 0.
	Upsert(ctx context.Context, s *Session, changes []*rows.Change) (done bool, err error)
}

// Session is one connection to the database, and what its dialect has made in it. It is for one goroutine.
type Session struct {
	*sql.Conn
	ID uint64 // at the server, see ConnectionID
}

// Pairs reads what a query answers: of each row a name, in lower case, and a text.
func Pairs(ctx context.Context, db *sql.DB, query string, args ...any) (map[string]string, error) {
	found, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	out := map[string]string{}
	for found.Next() {
		var name, text string
		if err := found.Scan(&name, &text); err != nil {
			return nil, err
		}
		out[strings.ToLower(name)] = text
	}
	return out, found.Err()
}
