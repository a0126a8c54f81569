package mysql

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
  topic VARCHAR(249) CHARACTER SET ascii COLLATE ascii_bin, part INT UNSIGNED,
  topic_id BINARY(16) NOT NULL, next_offset BIGINT UNSIGNED NOT NULL,
  high BINARY(8) NOT NULL,
  owner BINARY(16) NULL,
  owner_name VARCHAR(255), connection_id BIGINT UNSIGNED, updated_at TIMESTAMP(6) NOT NULL,
  witness VARBINARY(255) NULL,
  PRIMARY KEY (topic, part)) ENGINE = InnoDB`,
		`CREATE TABLE IF NOT EXISTS millrace_marks (
  stream VARCHAR(200) CHARACTER SET ascii COLLATE ascii_bin, generation SMALLINT UNSIGNED,
  raw_key BINARY(16), version VARBINARY(32) NOT NULL, marked_at TIMESTAMP(6) NOT NULL,
  PRIMARY KEY (stream, generation, raw_key), KEY (marked_at)) ENGINE = InnoDB`,
		`CREATE TABLE IF NOT EXISTS millrace_caught_up (
  topic VARCHAR(249) CHARACTER SET ascii COLLATE ascii_bin, hour CHAR(19) CHARACTER SET ascii COLLATE ascii_bin,
  PRIMARY KEY (topic, hour)) ENGINE = InnoDB`,
		`CREATE TABLE IF NOT EXISTS millrace_owners (
  table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  pipeline VARCHAR(249) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  stream VARCHAR(249) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  topic_id BINARY(16) NOT NULL, epoch SMALLINT UNSIGNED NOT NULL, updated_at TIMESTAMP(6) NOT NULL,
  marking SMALLINT UNSIGNED NOT NULL DEFAULT 0,
  PRIMARY KEY (table_name)) ENGINE = InnoDB`,
		`CREATE TABLE IF NOT EXISTS millrace_tables (
  topic VARCHAR(249) CHARACTER SET ascii COLLATE ascii_bin, name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  made VARCHAR(32) NOT NULL,
  PRIMARY KEY (topic, name)) ENGINE = InnoDB`,
		`CREATE TABLE IF NOT EXISTS millrace_swaps (
  pipeline VARCHAR(249) CHARACTER SET ascii COLLATE ascii_bin, stream VARCHAR(249) CHARACTER SET ascii COLLATE ascii_bin,
  step ENUM('freeze','rename') NOT NULL, attempt BINARY(16) NOT NULL, step_at TIMESTAMP(6) NOT NULL, by_whom VARCHAR(255) NOT NULL,
  from_line SMALLINT UNSIGNED NOT NULL, to_line SMALLINT UNSIGNED NOT NULL,
  from_pipeline VARCHAR(249) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, to_pipeline VARCHAR(249) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  from_table VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, to_table VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  PRIMARY KEY (pipeline, stream)) ENGINE = InnoDB`,
	}
}

// AddColumns asks information_schema which are there.
func (*Dialect) AddColumns(ctx context.Context, db *sql.DB) error {
	return dialect.AddMissing(ctx, db, []dialect.Added{
		{Table: "millrace_offsets", Column: "witness", Definition: "VARBINARY(255) NULL"},
		{Table: "millrace_owners", Column: "marking", Definition: "SMALLINT UNSIGNED NOT NULL DEFAULT 0"},
	}, `SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? AND column_name = ?`,
		func(err error) bool { return number(err) == duplicateColumn })
}

// duplicateColumn is ER_DUP_FIELDNAME.
const duplicateColumn = 1060

// CreateTable compares key columns by their bytes: by default 'aB' and 'Ab' would be one row.
func (*Dialect) CreateTable(t *rows.Table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s (\n", dialect.Quote(t.Name))
	for _, c := range t.Columns {
		fmt.Fprintf(&b, "  %s,\n", definition(c))
	}
	fmt.Fprintf(&b, "  %s VARBINARY(32) NOT NULL,\n  PRIMARY KEY (%s)\n) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4", rows.VersionColumn, dialect.KeyNames(t))
	return b.String()
}

// Temporary makes the table by LIKE, which copies indexes, checks and generated columns; no triggers, and no foreign
// keys.
func (m *Dialect) Temporary(t *rows.Table, like string, lacks []rows.Column) []string {
	name := dialect.Quote(t.Name)
	out := []string{"DROP TEMPORARY TABLE IF EXISTS " + name}
	if like == "" {
		return append(out, strings.Replace(m.CreateTable(t), "CREATE TABLE IF NOT EXISTS", "CREATE TEMPORARY TABLE", 1))
	}
	out = append(out, "CREATE TEMPORARY TABLE "+name+" LIKE "+dialect.Quote(like))
	for _, c := range lacks {
		out = append(out, "ALTER TABLE "+name+" ADD COLUMN "+definition(c))
	}
	return out
}

// Same compares bytes: of JSON those of its text.
func (*Dialect) Same(c rows.Column, a, b string) string {
	if c.Kind == columntype.JSON {
		a, b = "CAST("+a+" AS CHAR)", "CAST("+b+" AS CHAR)"
	}
	return "CAST(" + a + " AS BINARY) <=> CAST(" + b + " AS BINARY)"
}

// definition is the column as it is created.
func definition(c rows.Column) string {
	d := dialect.Quote(c.Name) + " " + c.Type
	if c.Key && c.SQL.Character() {
		d += " CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin"
	}
	if c.NotNull || c.Key {
		return d + " NOT NULL"
	}
	return d + " NULL" // TIMESTAMP is not null otherwise, on some servers
}

// Made asks information_schema. A table that is made again has another time, and one that is rebuilt too; not one that
// is emptied by TRUNCATE.
func (*Dialect) Made(ctx context.Context, db *sql.DB, names []string) (map[string]string, error) {
	args := make([]any, len(names))
	for i, name := range names {
		args[i] = name
	}
	return dialect.Pairs(ctx, db, `SELECT table_name, COALESCE(create_time, '') FROM information_schema.tables
		WHERE table_schema = DATABASE() AND table_name IN (?`+strings.Repeat(",?", len(names)-1)+")", args...)
}

// Check asks information_schema. Types are the user's affair: a column may be widened.
func (*Dialect) Check(ctx context.Context, db *sql.DB, t *rows.Table) ([]string, error) {
	is, err := columnsOf(ctx, db, t.Name)
	if err != nil {
		return nil, err
	}
	rekey := fmt.Sprintf("ALTER TABLE %s DROP PRIMARY KEY, ADD PRIMARY KEY (%s)", dialect.Quote(t.Name), dialect.KeyNames(t))
	problems := dialect.Fit(t, is, definition, rekey)
	var engine, index sql.NullString
	if err := db.QueryRowContext(ctx, `SELECT engine FROM information_schema.tables
		WHERE table_schema = DATABASE() AND table_name = ?`, t.Name).Scan(&engine); err != nil {
		return nil, err
	}
	if !strings.EqualFold(engine.String, "InnoDB") {
		problems = append(problems, fmt.Sprintf("its engine is %q, which has no transactions: ALTER TABLE %s ENGINE = InnoDB", engine.String, dialect.Quote(t.Name)))
	}
	err = db.QueryRowContext(ctx, `SELECT GROUP_CONCAT(DISTINCT index_name) FROM information_schema.statistics
		WHERE table_schema = DATABASE() AND table_name = ? AND non_unique = 0 AND index_name <> 'PRIMARY'`, t.Name).Scan(&index)
	if err == nil && index.Valid {
		problems = append(problems, fmt.Sprintf("unique index %s: an upsert would change whichever row it hits; "+
			"ALTER TABLE %s DROP INDEX …, or make it not unique", index.String, dialect.Quote(t.Name)))
	}
	return problems, err
}

// columnsOf reads a table's columns, by their names in lower case.
func columnsOf(ctx context.Context, db *sql.DB, table string) (map[string]dialect.Existing, error) {
	found, err := db.QueryContext(ctx, `SELECT c.column_name, c.data_type, COALESCE(c.character_maximum_length, 0), COALESCE(c.numeric_scale, c.datetime_precision, 0), COALESCE(c.collation_name, ''),
		  c.extra LIKE '%GENERATED%' AND c.extra NOT LIKE '%DEFAULT_GENERATED%',
		  c.is_nullable = 'NO' AND c.column_default IS NULL AND c.extra = '',
		  COALESCE(s.seq_in_index, 0), s.sub_part IS NOT NULL
		FROM information_schema.columns c LEFT JOIN information_schema.statistics s
		  ON s.table_schema = c.table_schema AND s.table_name = c.table_name AND s.column_name = c.column_name AND s.index_name = 'PRIMARY'
		WHERE c.table_schema = DATABASE() AND c.table_name = ?`, table)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	is := map[string]dialect.Existing{}
	for found.Next() {
		var name string
		var e dialect.Existing
		if err := found.Scan(&name, &e.Kind, &e.Length, &e.Places, &e.Collation, &e.Generated, &e.Needed, &e.Key, &e.Prefix); err != nil {
			return nil, err
		}
		if bytewise(e.Collation) {
			e.Collation = ""
		}
		is[strings.ToLower(name)] = e
	}
	return is, found.Err()
}

// bytewise reports whether a collation tells apart all strings, those included that differ in trailing spaces only.
func bytewise(collation string) bool {
	return collation == "binary" || strings.HasSuffix(collation, "0900_bin") || strings.HasSuffix(collation, "nopad_bin")
}
