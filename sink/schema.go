package sink

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/topics"
)

func (*mySQL) createOwn() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS millrace_offsets (
  topic VARCHAR(249) CHARACTER SET ascii COLLATE ascii_bin, part INT UNSIGNED,
  topic_id BINARY(16) NOT NULL, next_offset BIGINT UNSIGNED NOT NULL,
  high BINARY(8) NOT NULL,
  owner BINARY(16) NULL,
  owner_name VARCHAR(255), connection_id BIGINT UNSIGNED, updated_at TIMESTAMP(6) NOT NULL,
  PRIMARY KEY (topic, part)) ENGINE = InnoDB`,
		`CREATE TABLE IF NOT EXISTS millrace_marks (
  stream VARCHAR(200) CHARACTER SET ascii COLLATE ascii_bin, generation SMALLINT UNSIGNED,
  raw_key BINARY(16), version VARBINARY(32) NOT NULL, marked_at TIMESTAMP(6) NOT NULL,
  PRIMARY KEY (stream, generation, raw_key), KEY (marked_at)) ENGINE = InnoDB`,
	}
}

// createTable compares key columns by their bytes: by default 'aB' and 'Ab' would be one row.
func (*mySQL) createTable(t *table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s (\n", backquoted(t.name))
	for _, c := range t.columns {
		fmt.Fprintf(&b, "  %s,\n", c.definition())
	}
	fmt.Fprintf(&b, "  %s VARBINARY(32) NOT NULL,\n  PRIMARY KEY (%s)\n) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4", versionColumn, keyNames(t))
	return b.String()
}

// definition is the column as it is created.
func (c column) definition() string {
	d := backquoted(c.Name) + " " + c.Type
	if c.Key && c.isCharacter() {
		d += " CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin"
	}
	if c.NotNull || c.Key {
		return d + " NOT NULL"
	}
	return d + " NULL" // TIMESTAMP is not null otherwise, on some servers
}

func (c column) isCharacter() bool {
	return strings.HasPrefix(c.Type, "varchar") || strings.HasPrefix(c.Type, "char")
}

func keyNames(t *table) string {
	names := make([]string, len(t.key))
	for i, at := range t.key {
		names[i] = backquoted(t.columns[at].Name)
	}
	return strings.Join(names, ", ")
}

// existing is a column as it is.
type existing struct {
	key       int // its place in the primary key, from 1; 0: none
	collation string
	kind      string // the type's first word; empty: not known
	length    int64  // of characters or bytes; 0: none
	generated bool   // its value is computed
	needed    bool   // it has neither a default nor null
	prefix    bool   // only the beginning of its values is in the primary key
}

// check asks information_schema. Types are the user's affair: a column may be widened.
func (*mySQL) check(ctx context.Context, db *sql.DB, t *table) ([]string, error) {
	is, err := columnsOf(ctx, db, t.name)
	if err != nil {
		return nil, err
	}
	problems := fit(t, is)
	var engine, index sql.NullString
	if err := db.QueryRowContext(ctx, `SELECT engine FROM information_schema.tables
		WHERE table_schema = DATABASE() AND table_name = ?`, t.name).Scan(&engine); err != nil {
		return nil, err
	}
	if !strings.EqualFold(engine.String, "InnoDB") {
		problems = append(problems, fmt.Sprintf("its engine is %q, which has no transactions: ALTER TABLE %s ENGINE = InnoDB", engine.String, backquoted(t.name)))
	}
	err = db.QueryRowContext(ctx, `SELECT GROUP_CONCAT(DISTINCT index_name) FROM information_schema.statistics
		WHERE table_schema = DATABASE() AND table_name = ? AND non_unique = 0 AND index_name <> 'PRIMARY'`, t.name).Scan(&index)
	if err == nil && index.Valid {
		problems = append(problems, fmt.Sprintf("unique index %s: an upsert would change whichever row it hits; "+
			"ALTER TABLE %s DROP INDEX …, or make it not unique", index.String, backquoted(t.name)))
	}
	return problems, err
}

// columnsOf reads a table's columns, by their names in lower case.
func columnsOf(ctx context.Context, db *sql.DB, table string) (map[string]existing, error) {
	rows, err := db.QueryContext(ctx, `SELECT c.column_name, c.data_type, COALESCE(c.character_maximum_length, 0), COALESCE(c.collation_name, ''),
		  c.extra LIKE '%GENERATED%' AND c.extra NOT LIKE '%DEFAULT_GENERATED%',
		  c.is_nullable = 'NO' AND c.column_default IS NULL AND c.extra = '',
		  COALESCE(s.seq_in_index, 0), s.sub_part IS NOT NULL
		FROM information_schema.columns c LEFT JOIN information_schema.statistics s
		  ON s.table_schema = c.table_schema AND s.table_name = c.table_name AND s.column_name = c.column_name AND s.index_name = 'PRIMARY'
		WHERE c.table_schema = DATABASE() AND c.table_name = ?`, table)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	is := map[string]existing{}
	for rows.Next() {
		var name string
		var e existing
		if err := rows.Scan(&name, &e.kind, &e.length, &e.collation, &e.generated, &e.needed, &e.key, &e.prefix); err != nil {
			return nil, err
		}
		is[strings.ToLower(name)] = e
	}
	return is, rows.Err()
}

// fit compares the columns and the primary key.
func fit(t *table, is map[string]existing) []string {
	var problems []string
	alter := "ALTER TABLE " + backquoted(t.name) + " "
	for i, c := range t.columns {
		e, ok := is[strings.ToLower(c.Name)]
		place := slices.Index(t.key, i) + 1
		switch {
		case !ok:
			problems = append(problems, fmt.Sprintf("no column %s: %sADD COLUMN %s", c.Name, alter, c.definition()))
		case e.generated:
			problems = append(problems, fmt.Sprintf("column %s is generated, and the pipeline file has a value for it: leave it out there, or %sDROP COLUMN, then ADD COLUMN %s",
				c.Name, alter, c.definition()))
		case e.key != place || e.prefix:
			problems = append(problems, fmt.Sprintf("the primary key is not (%s): %sDROP PRIMARY KEY, ADD PRIMARY KEY (%s)",
				keyNames(t), alter, keyNames(t)))
		case c.Key && e.kind != "" && kindOf(e.kind) != c.kind && c.kind != kindBoolean:
			problems = append(problems, fmt.Sprintf("key column %s is a %s, in which different keys may be equal: %sMODIFY %s",
				c.Name, e.kind, alter, c.definition()))
		case c.Key && e.collation != "" && !bytewise(e.collation):
			problems = append(problems, fmt.Sprintf("key column %s has the collation %s, in which different keys are equal: %sMODIFY %s",
				c.Name, e.collation, alter, c.definition()))
		}
		delete(is, strings.ToLower(c.Name))
	}
	const version = versionColumn + " VARBINARY(32) NOT NULL"
	switch e, ok := is[versionColumn]; {
	case !ok:
		problems = append(problems, fmt.Sprintf("no column %s: %sADD COLUMN %s", versionColumn, alter, version))
	case e.kind != "" && (e.kind != "varbinary" || e.length < topics.VersionSize):
		problems = append(problems, fmt.Sprintf("column %s is %s(%d): %sMODIFY %s", versionColumn, e.kind, e.length, alter, version))
	}
	delete(is, versionColumn)
	for name, e := range is {
		switch {
		case e.key > 0:
			problems = append(problems, fmt.Sprintf("column %s is in the primary key, but not a key of the pipeline file", name))
		case e.needed:
			problems = append(problems, fmt.Sprintf("column %s must have a value, and the pipeline file has none for it: %sALTER COLUMN %s SET DEFAULT …, or DROP COLUMN %s",
				name, alter, backquoted(name), backquoted(name)))
		}
	}
	slices.Sort(problems)
	return slices.Compact(problems)
}

// bytewise reports whether a collation tells apart all strings, those included that differ in trailing spaces only.
func bytewise(collation string) bool {
	return collation == "binary" || strings.HasSuffix(collation, "0900_bin") || strings.HasSuffix(collation, "nopad_bin")
}
