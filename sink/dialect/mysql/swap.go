package mysql

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/sink/dialect"
)

// Exclude is GET_LOCK, whose names are of at most 64 characters, and of the server, not of the schema.
func (m *Dialect) Exclude(ctx context.Context, conn *sql.Conn, name string) (release func(), got bool, err error) {
	var is sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, 0)", m.lockName(name)).Scan(&is); err != nil || is.Int64 != 1 {
		return nil, false, err
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, _ = conn.ExecContext(ctx, "DO RELEASE_LOCK(?)", m.lockName(name))
	}, true, nil
}

func (m *Dialect) lockName(name string) string {
	sum := sha256.Sum256([]byte("millrace " + m.cfg.DBName + " " + name))
	return hex.EncodeToString(sum[:])
}

// EndHolder kills the connection that has the lock, and so the statement that it waits in: a client that is gone does
// not end it.
func (m *Dialect) EndHolder(ctx context.Context, db *sql.DB, name string) error {
	var id sql.NullInt64
	if err := db.QueryRowContext(ctx, "SELECT IS_USED_LOCK(?)", m.lockName(name)).Scan(&id); err != nil || !id.Valid {
		return err
	}
	_, err := m.Evict(ctx, db, []uint64{uint64(id.Int64)})
	return err
}

// Settle has the server keep the connection while it waits for stages, and end it soon after its process is gone.
func (*Dialect) Settle(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SET SESSION lock_wait_timeout = 1, SESSION innodb_lock_wait_timeout = 5, SESSION wait_timeout = 120")
	return err
}

// Age is by the server's clock.
func (*Dialect) Age(column string) string {
	return "TIMESTAMPDIFF(MICROSECOND, " + column + ", CURRENT_TIMESTAMP(6))"
}

// Rename is one statement, which the server does as a whole (MySQL Reference Manual, "RENAME TABLE Statement").
func (*Dialect) Rename(x dialect.Exchange) (statements []string, transactional bool) {
	return []string{fmt.Sprintf("RENAME TABLE %s TO %s, %s TO %[1]s", dialect.Quote(x.Table), dialect.Quote(x.Aside), dialect.Quote(x.Next))}, false
}

// Complete is the second half.
func (*Dialect) Complete(x dialect.Exchange) string {
	return "RENAME TABLE " + dialect.Quote(x.Next) + " TO " + dialect.Quote(x.Table)
}

// Obstacles asks information_schema, which shows what the user may see: so the rights come first.
func (m *Dialect) Obstacles(ctx context.Context, db *sql.DB, x dialect.Exchange, known []string) (out []string, err error) {
	if out, err = swapRights(ctx, db); err != nil || len(out) > 0 {
		return out, err
	}
	for _, look := range []func(context.Context, *sql.DB, dialect.Exchange) ([]string, error){triggers, foreignKeys, counters} {
		found, err := look(ctx, db, x)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	more, err := unknownColumns(ctx, db, x, known)
	return append(out, more...), err
}

// swapRights looks whether some grant gives what a swap needs.
func swapRights(ctx context.Context, db *sql.DB) ([]string, error) {
	given, err := allGrants(ctx, db)
	if err != nil {
		return nil, err
	}
	var lacks []string
	for _, right := range []string{"ALTER", "CREATE", "DROP", "INSERT", "TRIGGER", "PROCESS"} {
		all := "ALL PRIVILEGES ON "
		if right == "PROCESS" {
			all += "*.*" // it is of the server
		}
		// the last is a role
		if !strings.Contains(given, all) && !strings.Contains(given, right) && !strings.Contains(given, "GRANT `") {
			lacks = append(lacks, right)
		}
	}
	if len(lacks) == 0 {
		return nil, nil
	}
	return []string{fmt.Sprintf("the user lacks %s, to rename tables and to see triggers and old transactions: "+
		"GRANT ALTER, CREATE, DROP, INSERT, TRIGGER ON the schema.*, and GRANT PROCESS ON *.*, to the user of database.mysql", strings.Join(lacks, ", "))}, nil
}

func triggers(ctx context.Context, db *sql.DB, x dialect.Exchange) ([]string, error) {
	return list(ctx, db, `SELECT CONCAT('the trigger ', trigger_name, ' is of the table ', event_object_table,
		', and would go away with it: DROP TRIGGER ', trigger_name, ', and make it again afterwards')
		FROM information_schema.triggers WHERE event_object_schema = DATABASE() AND event_object_table IN (?, ?) ORDER BY 1`, x.Table, x.Next)
}

func foreignKeys(ctx context.Context, db *sql.DB, x dialect.Exchange) ([]string, error) {
	return list(ctx, db, `SELECT CONCAT('the foreign key ', constraint_name, ' of ', table_name, ' refers to ', referenced_table_name,
		', and would follow the table that is renamed: ALTER TABLE ', table_name, ' DROP FOREIGN KEY ', constraint_name)
		FROM information_schema.referential_constraints
		WHERE constraint_schema = DATABASE() AND table_name IN (?, ?) OR unique_constraint_schema = DATABASE() AND referenced_table_name IN (?, ?)
		ORDER BY 1`, x.Table, x.Next, x.Table, x.Next)
}

func counters(ctx context.Context, db *sql.DB, x dialect.Exchange) ([]string, error) {
	return list(ctx, db, `SELECT CONCAT('the column ', column_name, ' of ', table_name,
		' is AUTO_INCREMENT: its numbers would be others: ALTER TABLE ', table_name, ' DROP COLUMN ', column_name)
		FROM information_schema.columns
		WHERE table_schema = DATABASE() AND table_name IN (?, ?) AND extra LIKE '%auto_increment%' ORDER BY 1`, x.Table, x.Next)
}

// unknownColumns are columns with values that are not of the pipeline.
func unknownColumns(ctx context.Context, db *sql.DB, x dialect.Exchange, known []string) (out []string, err error) {
	names, err := list(ctx, db, `SELECT LOWER(column_name) FROM information_schema.columns
		WHERE table_schema = DATABASE() AND table_name = ? AND (extra NOT LIKE '%GENERATED%' OR extra LIKE '%DEFAULT_GENERATED%')
		ORDER BY ordinal_position`, x.Table)
	if err != nil {
		return nil, err
	}
	is := map[string]bool{}
	for _, name := range known {
		is[strings.ToLower(name)] = true
	}
	for _, name := range names {
		if !is[name] {
			out = append(out, fmt.Sprintf("the column %s of %s is not in the pipeline file, and what it holds would be gone: "+
				"ALTER TABLE %s DROP COLUMN %s, or keep it in a table of its own", name, x.Table, dialect.Quote(x.Table), dialect.Quote(name)))
		}
	}
	return out, nil
}

// Readers asks innodb_trx, whose times are of the server's own zone, and the locks on the tables' names, where the user
// may see them. What reads by READ COMMITTED has no old view.
func (*Dialect) Readers(ctx context.Context, db *sql.DB, x dialect.Exchange, since time.Time, longer time.Duration) (out []string, err error) {
	names, err := readProcesslist(ctx, db)
	if err != nil {
		return nil, err
	}
	if !since.IsZero() {
		old, err := dialect.Pairs(ctx, db, `SELECT trx_mysql_thread_id, trx_started FROM information_schema.innodb_trx
			WHERE trx_started < CONVERT_TZ(?, '+00:00', 'SYSTEM') AND trx_mysql_thread_id NOT IN (0, CONNECTION_ID())
			AND trx_isolation_level IN ('REPEATABLE READ', 'SERIALIZABLE')`, since.UTC().Add(skew).Format("2006-01-02 15:04:05"))
		if err != nil {
			return nil, err
		}
		for id, started := range old {
			out = append(out, fmt.Sprintf("%s has a transaction since %s, from before the new table was complete", names.of(id), started))
		}
	}
	holders, err := dialect.Pairs(ctx, db, `SELECT t.processlist_id, GROUP_CONCAT(DISTINCT m.object_name)
		FROM performance_schema.metadata_locks AS m JOIN performance_schema.threads AS t ON t.thread_id = m.owner_thread_id
		WHERE m.object_type = 'TABLE' AND m.object_schema = DATABASE() AND m.object_name IN (?, ?) AND m.lock_status = 'GRANTED'
		AND t.processlist_id <> CONNECTION_ID() AND t.processlist_time >= ? GROUP BY t.processlist_id`, x.Table, x.Next, int(longer.Seconds()))
	if err == nil { // else the user may see no locks: then the exchange itself waits
		for id, tables := range holders {
			out = append(out, fmt.Sprintf("%s holds %s", names.of(id), tables))
		}
	}
	slices.Sort(out)
	return out, nil
}

// skew is by how much our clock, of which a time is, may be behind the server's.
const skew = 5 * time.Second

// list reads a column of texts.
func list(ctx context.Context, db *sql.DB, query string, args ...any) (out []string, err error) {
	found, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		var text string
		if err := found.Scan(&text); err != nil {
			return nil, err
		}
		out = append(out, text)
	}
	return out, found.Err()
}
