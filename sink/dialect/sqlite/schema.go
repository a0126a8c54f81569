package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/internal/columntype"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// CreateOwn makes millrace's own tables.
func (*Dialect) CreateOwn() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS millrace_offsets (
  topic TEXT, part INTEGER, topic_id BLOB NOT NULL, next_offset INTEGER NOT NULL, high BLOB NOT NULL,
  owner BLOB, owner_name TEXT, connection_id INTEGER, updated_at TEXT NOT NULL, witness BLOB,
  PRIMARY KEY (topic, part)) WITHOUT ROWID`,
		`CREATE TABLE IF NOT EXISTS millrace_marks (
  stream TEXT, generation INTEGER, raw_key BLOB, version BLOB NOT NULL, marked_at TEXT NOT NULL,
  PRIMARY KEY (stream, generation, raw_key)) WITHOUT ROWID`,
		`CREATE TABLE IF NOT EXISTS millrace_caught_up (topic TEXT, hour TEXT, PRIMARY KEY (topic, hour)) WITHOUT ROWID`,
		`CREATE TABLE IF NOT EXISTS millrace_owners (
  table_name TEXT PRIMARY KEY, pipeline TEXT NOT NULL, stream TEXT NOT NULL, topic_id BLOB NOT NULL,
  epoch INTEGER NOT NULL, updated_at TEXT NOT NULL, marking INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID`,
		`CREATE TABLE IF NOT EXISTS millrace_tables (
  topic TEXT, name TEXT, made TEXT NOT NULL, PRIMARY KEY (topic, name)) WITHOUT ROWID`,
		`CREATE TABLE IF NOT EXISTS millrace_swaps (
  pipeline TEXT, stream TEXT, step TEXT NOT NULL, attempt BLOB NOT NULL, step_at TEXT NOT NULL, by_whom TEXT NOT NULL,
  from_line INTEGER NOT NULL, to_line INTEGER NOT NULL, from_pipeline TEXT NOT NULL, to_pipeline TEXT NOT NULL,
  table_name TEXT NOT NULL, from_table TEXT NOT NULL, to_table TEXT NOT NULL, PRIMARY KEY (pipeline, stream)) WITHOUT ROWID`,
		`CREATE INDEX IF NOT EXISTS millrace_marks_marked_at ON millrace_marks (marked_at)`,
	}
}

// AddColumns asks the file which are there.
func (*Dialect) AddColumns(ctx context.Context, db *sql.DB) error {
	return dialect.AddMissing(ctx, db, []dialect.Added{
		{Table: "millrace_offsets", Column: "witness", Definition: "BLOB"},
		{Table: "millrace_owners", Column: "marking", Definition: "INTEGER NOT NULL DEFAULT 0"},
	}, "SELECT COUNT(*) FROM pragma_table_info(?) WHERE name = ?",
		func(err error) bool { return strings.Contains(err.Error(), "duplicate column name") })
}

// CreateTable makes t with the types of the pipeline file, of which SQLite takes what it can.
func (*Dialect) CreateTable(t *rows.Table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s (\n", dialect.Quote(t.Name))
	for _, c := range t.Columns {
		b.WriteString("  " + definition(c) + ",\n")
	}
	fmt.Fprintf(&b, "  %s BLOB NOT NULL,\n  PRIMARY KEY (%s)) WITHOUT ROWID", rows.VersionColumn, dialect.KeyNames(t))
	return b.String()
}

// affine is the column's type, or one that keeps its values as they are: SQLite would make doubles of decimals and of
// integers beyond 63 bits ("Datatypes In SQLite", section 3).
func affine(c rows.Column) string {
	switch {
	case c.Kind == columntype.Decimal:
		return "TEXT"
	case c.Kind == columntype.Integer && strings.Contains(c.Type, "bigint unsigned"):
		return "BLOB" // no conversion
	default:
		return c.Type
	}
}

// Temporary makes the table by the pipeline file: SQLite has no LIKE.
func (s *Dialect) Temporary(t *rows.Table, _ string, _ []rows.Column) []string {
	return []string{
		"DROP TABLE IF EXISTS temp." + dialect.Quote(t.Name),
		strings.Replace(s.CreateTable(t), "CREATE TABLE IF NOT EXISTS", "CREATE TEMP TABLE", 1),
	}
}

// Same compares bytes: of numbers those of their text.
func (*Dialect) Same(_ rows.Column, a, b string) string {
	return "CAST(" + a + " AS BLOB) IS CAST(" + b + " AS BLOB)"
}

// definition is the column as it is created.
func definition(c rows.Column) string {
	d := dialect.Quote(c.Name) + " " + affine(c)
	if c.NotNull || c.Key {
		d += " NOT NULL"
	}
	return d
}

// Made says which tables are there; SQLite does not know when they were made.
func (*Dialect) Made(ctx context.Context, db *sql.DB, names []string) (map[string]string, error) {
	args := make([]any, len(names))
	for i, name := range names {
		args[i] = name
	}
	return dialect.Pairs(ctx, db, `SELECT name, '' FROM sqlite_master WHERE type = 'table' AND name COLLATE NOCASE IN (?`+
		strings.Repeat(",?", len(names)-1)+")", args...)
}

// Check compares names and the primary key.
func (*Dialect) Check(ctx context.Context, db *sql.DB, t *rows.Table) ([]string, error) {
	found, err := db.QueryContext(ctx, "SELECT name, pk FROM pragma_table_info(?)", t.Name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	is := map[string]dialect.Existing{}
	for found.Next() {
		var name string
		var pk int
		if err := found.Scan(&name, &pk); err != nil {
			return nil, err
		}
		is[strings.ToLower(name)] = dialect.Existing{Key: pk}
	}
	rekey := fmt.Sprintf("SQLite cannot change it: ALTER TABLE %s RENAME TO …; the sink then says how the table is made again", dialect.Quote(t.Name))
	return dialect.Fit(t, is, definition, rekey), found.Err()
}
