package sink

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/millrace-io/millrace/internal/mutant"
	"github.com/millrace-io/millrace/pipeline"
)

// sqLite is a file in the data directory, for trying out: one process, and types that only resemble MySQL's.
type sqLite struct{ file string }

func newSQLite(p *pipeline.Pipeline) *sqLite {
	return &sqLite{filepath.Join(p.DataDir, "millrace.db")}
}

func (*sqLite) name() string { return "SQLite" }

func (s *sqLite) open(lockWait time.Duration) (*sql.DB, error) {
	return sql.Open("sqlite", fmt.Sprintf("file:%s?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(%d)",
		filepath.ToSlash(s.file), lockWait.Milliseconds()))
}

func (*sqLite) begin() string { return "BEGIN IMMEDIATE" }
func (*sqLite) now() string   { return "strftime('%Y-%m-%d %H:%M:%f', 'now')" }

func (*sqLite) connectionID(context.Context, *sql.Conn) (uint64, error) { return 0, nil }

func (*sqLite) ignoring(string) string { return " ON CONFLICT DO NOTHING" }

func (*sqLite) insert(t *table) string { return new(mySQL).insert(t) } // SQLite takes MySQL's quotes for names too

func (*sqLite) merge(t *table) string {
	var b strings.Builder
	b.WriteString(" ON CONFLICT DO UPDATE SET ")
	for _, c := range t.columns {
		if !c.Key {
			fmt.Fprintf(&b, "%s = excluded.%s, ", backquoted(c.Name), backquoted(c.Name))
		}
	}
	fmt.Fprintf(&b, "%s = excluded.%s", versionColumn, versionColumn)
	if !mutant.Off(mutant.RowVersions) {
		fmt.Fprintf(&b, " WHERE excluded.%s > %s.%s", versionColumn, backquoted(t.name), versionColumn)
	}
	return b.String()
}

func (*sqLite) bulk(*table) *bulk { return nil }

func (*sqLite) mergeMarks() string {
	return " ON CONFLICT DO UPDATE SET version = excluded.version, marked_at = excluded.marked_at WHERE excluded.version > version"
}

func (*sqLite) inspect(context.Context, *sql.DB) (int, error) { return 500_000, nil } // SQLITE_MAX_SQL_LENGTH is 1,000,000

func (*sqLite) createOwn() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS millrace_offsets (
  topic TEXT, part INTEGER, topic_id BLOB NOT NULL, next_offset INTEGER NOT NULL, high BLOB NOT NULL,
  owner BLOB, owner_name TEXT, connection_id INTEGER, updated_at TEXT NOT NULL,
  PRIMARY KEY (topic, part)) WITHOUT ROWID`,
		`CREATE TABLE IF NOT EXISTS millrace_marks (
  stream TEXT, generation INTEGER, raw_key BLOB, version BLOB NOT NULL, marked_at TEXT NOT NULL,
  PRIMARY KEY (stream, generation, raw_key)) WITHOUT ROWID`,
		`CREATE INDEX IF NOT EXISTS millrace_marks_marked_at ON millrace_marks (marked_at)`,
	}
}

func (*sqLite) createTable(t *table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s (\n", backquoted(t.name))
	for _, c := range t.columns {
		fmt.Fprintf(&b, "  %s %s", backquoted(c.Name), c.Type)
		if c.NotNull || c.Key {
			b.WriteString(" NOT NULL")
		}
		b.WriteString(",\n")
	}
	fmt.Fprintf(&b, "  %s BLOB NOT NULL,\n  PRIMARY KEY (%s)) WITHOUT ROWID", versionColumn, keyNames(t))
	return b.String()
}

func (*sqLite) check(ctx context.Context, db *sql.DB, t *table) ([]string, error) {
	rows, err := db.QueryContext(ctx, "SELECT name, pk FROM pragma_table_info(?)", t.name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	is := map[string]existing{}
	for rows.Next() {
		var name string
		var pk int
		if err := rows.Scan(&name, &pk); err != nil {
			return nil, err
		}
		is[strings.ToLower(name)] = existing{key: pk}
	}
	return fit(t, is), rows.Err()
}

func (*sqLite) evict(context.Context, *sql.DB, []uint64) (int, error) { return 0, nil }

func (*sqLite) locked(error) bool { return false }

// sqliteRefusal reports whether SQLite refuses a row for its values.
func sqliteRefusal(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		return true
	}
	return false
}

// text doubles quotes. SQL text ends at a zero byte, so such a string is written as bytes.
func (*sqLite) text(dst, s []byte) []byte {
	if bytes.IndexByte(s, 0) >= 0 {
		dst = append(dst, "CAST("...)
		return append(appendHex(dst, s), " AS TEXT)"...)
	}
	dst = append(dst, '\'')
	dst = append(dst, bytes.ReplaceAll(s, []byte("'"), []byte("''"))...)
	return append(dst, '\'')
}

func (s *sqLite) json(dst []byte, v jsontext.Value) ([]byte, error) {
	text, err := textOf(v)
	if err != nil {
		return nil, err
	}
	return s.text(dst, text), nil
}

func (*sqLite) bytes(dst, b []byte) []byte { return appendHex(dst, b) }
