package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/millrace-io/millrace/sink/dialect"
)

// Exclude locks a file beside the database, which the system gives back when the process ends. conn is not asked, and
// there is one lock for all names.
func (s *Dialect) Exclude(context.Context, *sql.Conn, string) (release func(), got bool, err error) {
	l := flock.New(s.file + ".swap")
	if got, err = l.TryLock(); err != nil || !got {
		return nil, false, err
	}
	return func() { _ = l.Unlock() }, true, nil
}

// EndHolder ends nothing: no process can end what another one does.
func (*Dialect) EndHolder(context.Context, *sql.DB, string) error { return nil }

// Settle has views keep the name that they read: else they would follow the table. The setting is of the connection,
// which is not used for anything else.
func (*Dialect) Settle(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "PRAGMA legacy_alter_table = ON")
	return err
}

// Age is by the machine's clock.
func (*Dialect) Age(column string) string {
	return "CAST((julianday('now') - julianday(" + column + ")) * 86400000000 AS INTEGER)"
}

// Rename is two statements of the transaction.
func (*Dialect) Rename(x dialect.Exchange) (statements []string, transactional bool) {
	return []string{rename(x.Table, x.Aside), rename(x.Next, x.Table)}, true
}

// Complete is the second of them.
func (*Dialect) Complete(x dialect.Exchange) string { return rename(x.Next, x.Table) }

func rename(from, to string) string {
	return "ALTER TABLE " + dialect.Quote(from) + " RENAME TO " + dialect.Quote(to)
}

// Obstacles are triggers, foreign keys, and columns that are not known.
func (*Dialect) Obstacles(ctx context.Context, db *sql.DB, x dialect.Exchange, known []string) (out []string, err error) {
	kinds, err := dialect.Pairs(ctx, db, `SELECT name, 'the trigger ' || name || ' is of the table ' || tbl_name || ', and would go away with it: DROP TRIGGER ' || name
		FROM sqlite_master WHERE type = 'trigger' AND tbl_name COLLATE NOCASE IN (?, ?)`, x.Table, x.Next)
	if err != nil {
		return nil, err
	}
	keys, err := dialect.Pairs(ctx, db, `SELECT m.name, 'the foreign key of ' || m.name || ' refers to ' || f."table" || ', and would follow the table that is renamed: make '
		|| m.name || ' without it' FROM sqlite_master AS m, pragma_foreign_key_list(m.name) AS f
		WHERE m.type = 'table' AND (m.name COLLATE NOCASE IN (?, ?) OR f."table" COLLATE NOCASE IN (?, ?))`, x.Table, x.Next, x.Table, x.Next)
	if err != nil {
		return nil, err
	}
	for _, all := range []map[string]string{kinds, keys} {
		for _, text := range all {
			out = append(out, text)
		}
	}
	columns, err := dialect.Pairs(ctx, db, "SELECT name, '' FROM pragma_table_info(?)", x.Table)
	if err != nil {
		return nil, err
	}
	for _, name := range known {
		delete(columns, strings.ToLower(name))
	}
	for name := range columns {
		out = append(out, fmt.Sprintf("the column %s of %s is not in the pipeline file, and what it holds would be gone: ALTER TABLE %s DROP COLUMN %s, or keep it in a table of its own",
			name, x.Table, dialect.Quote(x.Table), dialect.Quote(name)))
	}
	slices.Sort(out)
	return out, nil
}

// Readers are none: a transaction that reads sees the schema, too, as it was when it began.
func (*Dialect) Readers(context.Context, *sql.DB, dialect.Exchange, time.Time, time.Duration) ([]string, error) {
	return nil, nil
}
