// Package sqlite is the sink's dialect of SQLite: a file in the data directory, for trying out. It is for one
// process, and its types only resemble MySQL's.
package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// Dialect is a SQLite file.
type Dialect struct{ file string }

// New returns the dialect of the file in the directory dir. It makes no file.
func New(dir string) *Dialect { return &Dialect{filepath.Join(dir, "millrace.db")} }

// Name is how people call it.
func (*Dialect) Name() string { return "SQLite" }

// Place is the file.
func (s *Dialect) Place() string { return s.file }

// Writers is one: a file has one writer at a time.
func (*Dialect) Writers() int { return 1 }

// Open returns a pool on the file.
func (s *Dialect) Open(lockWait time.Duration) (*sql.DB, error) {
	return sql.Open("sqlite", fmt.Sprintf("file:%s?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(%d)",
		filepath.ToSlash(s.file), lockWait.Milliseconds()))
}

// Inspect says half of SQLITE_MAX_SQL_LENGTH, which is 1,000,000 by default.
func (*Dialect) Inspect(context.Context, *sql.DB) (int, error) { return 500_000, nil }

// ConnectionID is 0: connections have none.
func (*Dialect) ConnectionID(context.Context, *sql.Conn) (uint64, error) { return 0, nil }

// Evict ends nothing: there is no other process.
func (*Dialect) Evict(context.Context, *sql.DB, []uint64) (int, error) { return 0, nil }

const now = "strftime('%Y-%m-%d %H:%M:%f', 'now')"

// place joins a row of millrace_offsets to its literals, and guard says what the row must be for its offset to move.
const (
	place        = " WHERE o.topic = m.topic AND o.part = m.part"
	owned        = place + " AND o.owner = m.owner"
	guardColumns = "topic, part, owner, expected, moved, high, witness"
	guard        = place + " AND o.owner = m.owner AND o.next_offset = m.expected"
)

// AppendList appends a sub-query of VALUES, whose columns SQLite calls column1 and so on.
func (s *Dialect) AppendList(dst []byte, columns string, list []rows.Values) []byte {
	dst = append(dst, "(SELECT "...)
	for i, name := range strings.Split(columns, ", ") {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = fmt.Appendf(dst, "column%d AS %s", i+1, name)
	}
	for i, values := range list {
		if i == 0 {
			dst = append(dst, " FROM (VALUES ("...)
		} else {
			dst = append(dst, "), ("...)
		}
		dst = dialect.AppendValues(dst, s, values)
	}
	return append(dst, "))) AS m"...)
}

// Statements are those on millrace's own tables that differ from other databases'. A transaction locks the whole
// file, and DELETE has no LIMIT.
func (*Dialect) Statements() dialect.Statements {
	return dialect.Statements{
		Begin:      "BEGIN IMMEDIATE",
		LockOffset: "SELECT next_offset, owner FROM millrace_offsets WHERE topic = ? AND part = ?",
		NewOffsets: dialect.Many{
			Head: "INSERT INTO millrace_offsets (topic, part, topic_id, next_offset, high, updated_at)" +
				" SELECT m.topic, m.part, m.topic_id, m.next_offset, zeroblob(8), " + now + " FROM ",
			Columns: "topic, part, topic_id, next_offset", Tail: " WHERE TRUE ON CONFLICT DO NOTHING",
		},
		LockOffsets: dialect.Many{
			Head: "SELECT o.topic, o.part, o.topic_id, o.next_offset, o.high, o.witness FROM millrace_offsets AS o, ", Columns: "topic, part", Tail: place,
		},
		ClaimOffsets: dialect.Many{
			Head:    "UPDATE millrace_offsets AS o SET owner = m.owner, owner_name = m.name, connection_id = m.connection, updated_at = " + now + " FROM ",
			Columns: "topic, part, owner, name, connection", Tail: place,
		},
		FreeOffsets: dialect.Many{Head: "SELECT o.topic, o.part FROM millrace_offsets AS o, ", Columns: "topic, part", Tail: place},
		OwnersOfOffsets: dialect.Many{
			Head: "SELECT DISTINCT o.connection_id FROM millrace_offsets AS o, ", Columns: "topic, part",
			Tail: place + " AND o.connection_id IS NOT NULL",
		},
		OpenOffsets: dialect.Many{
			Head: "SELECT o.topic, o.part FROM millrace_offsets AS o, ", Columns: "topic, part", Tail: place + " AND o.owner IS NULL",
		},
		RenewOffsets: dialect.Many{
			Head:    "UPDATE millrace_offsets AS o SET topic_id = m.topic_id, next_offset = m.next_offset FROM ",
			Columns: "topic, part, topic_id, next_offset", Tail: place,
		},
		PublishOffsets: dialect.Many{
			Head: "UPDATE millrace_offsets AS o SET connection_id = m.connection FROM ", Columns: "topic, part, owner, connection", Tail: owned,
		},
		ReleaseOffsets: dialect.Many{
			Head: "UPDATE millrace_offsets AS o SET owner = NULL, connection_id = NULL FROM ", Columns: "topic, part, owner", Tail: owned,
		},
		MoveOffsets: dialect.Many{
			Head:    "UPDATE millrace_offsets AS o SET next_offset = m.moved, high = m.high, witness = COALESCE(m.witness, o.witness), updated_at = " + now + " FROM ",
			Columns: guardColumns, Tail: guard,
		},
		HeldOffsets: dialect.Many{Head: "SELECT o.topic, o.part FROM millrace_offsets AS o, ", Columns: guardColumns, Tail: guard},
		PruneMarks: `DELETE FROM millrace_marks WHERE (stream, generation, raw_key) IN
			(SELECT stream, generation, raw_key FROM millrace_marks WHERE stream = ? AND marked_at < ?
			AND NOT EXISTS (SELECT 1 FROM millrace_owners WHERE stream = ? AND marking > 0) LIMIT ` + strconv.Itoa(dialect.PruneAtOnce) + `)`,
		CaughtUp: "INSERT OR IGNORE INTO millrace_caught_up (topic, hour) VALUES (?, strftime('%Y-%m-%d %H:00:00', 'now'))",
		NewOwner: "INSERT INTO millrace_owners (table_name, pipeline, stream, topic_id, epoch, updated_at) VALUES (?, '', '', zeroblob(16), 0, " +
			now + ") ON CONFLICT DO NOTHING",
		SetOwner:   "UPDATE millrace_owners SET pipeline = ?, stream = ?, topic_id = ?, epoch = ?, updated_at = " + now + " WHERE table_name = ?",
		Now:        now,
		MergeMarks: " ON CONFLICT DO UPDATE SET version = excluded.version, marked_at = excluded.marked_at WHERE excluded.version > version",
	}
}

// alias names the table in an upsert: the name of the table may be "excluded". The pipeline file takes no table whose
// name begins so.
const alias = "millrace_old"

// Upsert is INSERT … ON CONFLICT DO UPDATE.
func (*Dialect) Upsert(t *rows.Table) dialect.Upsert {
	var b strings.Builder
	b.WriteString(" ON CONFLICT DO UPDATE SET ")
	for _, c := range t.Columns {
		if !c.Key {
			fmt.Fprintf(&b, "%s = excluded.%s, ", dialect.Quote(c.Name), dialect.Quote(c.Name))
		}
	}
	fmt.Fprintf(&b, "%s = excluded.%[1]s WHERE excluded.%[1]s > %s.%[1]s", rows.VersionColumn, alias)
	name, columns := dialect.Quote(t.Name), dialect.ColumnNames(t)
	return dialect.Upsert{
		Insert: dialect.InsertInto(name+" AS "+alias, t), Merge: b.String(),
		Probe: []string{
			fmt.Sprintf("DELETE FROM %s WHERE FALSE", name),
			fmt.Sprintf("INSERT INTO %s AS %s (%s) SELECT %[3]s FROM %[1]s WHERE FALSE", name, alias, columns) + b.String(),
		},
	}
}

// exactDigits is how many digits, with a sign, an integer has at most that is one in SQLite too.
const exactDigits = 18

// AppendLiteral appends v as a literal.
func (*Dialect) AppendLiteral(dst []byte, v rows.Value) []byte {
	switch v.Form {
	case rows.Number:
		if len(v.Bytes) > exactDigits || bytes.IndexByte(v.Bytes, '.') >= 0 {
			return appendText(dst, v.Bytes) // a column of numbers makes a number of it, another keeps the digits
		}
		return append(dst, v.Bytes...)
	case rows.Text:
		return appendText(dst, v.Bytes)
	case rows.Bytes:
		return dialect.AppendHex(dst, v.Bytes)
	default:
		return append(dst, "NULL"...)
	}
}

// appendText doubles quotes. SQL text ends at a zero byte, so such a string is written as bytes.
func appendText(dst, s []byte) []byte {
	if bytes.IndexByte(s, 0) >= 0 {
		return append(dialect.AppendHex(append(dst, "CAST("...), s), " AS TEXT)"...)
	}
	dst = append(dst, '\'')
	for _, c := range s {
		if c == '\'' {
			dst = append(dst, c)
		}
		dst = append(dst, c)
	}
	return append(dst, '\'')
}

// Classify tells whether SQLite refuses a row for its values.
func (*Dialect) Classify(err error) error {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_ERROR: // a table or column that is gone, and whatever else is wrong with a statement
			return &dialect.DefectError{Err: err, Hint: "look at the table"}
		case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
			return &dialect.RefusedError{Err: err}
		}
	}
	return err
}

// Missing asks the text: there is no code of its own.
func (*Dialect) Missing(err error) bool {
	return err != nil && strings.Contains(err.Error(), "no such table")
}

// Reason is always that of a file that cannot be written now.
func (*Dialect) Reason(error) string { return dialect.Connection }
