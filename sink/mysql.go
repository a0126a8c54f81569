package sink

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/internal/mutant"
	"github.com/millrace-io/millrace/pipeline"
)

// mySQL is MySQL 8.0 or later. (MariaDB's collations and settings differ; it will be a dialect of its own.)
type mySQL struct {
	cfg *mysql.Config

	// values says how an upsert names the values that it would insert: before MySQL 8.0.19 there is no row alias (MySQL Reference
	// Manual, "INSERT ... ON DUPLICATE KEY UPDATE Statement"). Set by inspect, as is loads.
	values bool
	// loads says that the server takes LOAD DATA LOCAL, and that its binary log has rows, which know nothing of temporary tables.
	loads bool
}

const (
	// writerLockWait is how long a writer waits for a row lock before it gives its transaction up: sinks share no rows, so it is
	// somebody else's, and while we wait no partition can be taken from us.
	writerLockWait = 10 * time.Second
	// sessionWait is how long a session may be silent before the server ends it, and its transaction with it: a writer's
	// is, but for milliseconds, silent between transactions only, and connects again.
	sessionWait = 15 * time.Second
)

func newMySQL(dsn pipeline.Secret) (*mySQL, error) {
	cfg, err := mysql.ParseDSN(dsn.Reveal())
	if err != nil {
		return nil, errors.New("database.mysql: not a DSN; it is written user:password@tcp(host:3306)/schema") // err may quote the password
	}
	if cfg.DBName == "" {
		return nil, errors.New("database.mysql: the DSN names no schema; it is written user:password@tcp(host:3306)/schema")
	}
	cfg.ClientFoundRows = true   // an UPDATE counts the rows it matches: a guard that holds is 1, whatever the values
	cfg.InterpolateParams = true // one round trip a statement
	cfg.MultiStatements = false
	cfg.MaxAllowedPacket = 0  // the server's
	cfg.RejectReadOnly = true // after a failover the old primary answers so: connect again, to the new one
	cfg.Logger = &mysql.NopLogger{}
	if err := cfg.Apply(mysql.Charset("utf8mb4", "")); err != nil { // what text relies on
		return nil, fmt.Errorf("database.mysql: %w", err)
	}
	cfg.Timeout = max(cfg.Timeout, 5*time.Second)
	if cfg.ReadTimeout == 0 {
		cfg.ReadTimeout = time.Minute // a server that is frozen must not freeze us
	}
	if cfg.WriteTimeout == 0 {
		cfg.WriteTimeout = time.Minute
	}
	params := map[string]string{
		"sql_mode":              "'STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
		"time_zone":             "'+00:00'",
		"transaction_isolation": "'READ-COMMITTED'",
		"wait_timeout":          strconv.Itoa(int(sessionWait.Seconds())),
		"net_read_timeout":      strconv.Itoa(int(sessionWait.Seconds())),
		"net_write_timeout":     strconv.Itoa(int(sessionWait.Seconds())),
		"sql_notes":             "0", // a warning is what would be an error, see bulk
	}
	if cfg.Params == nil {
		cfg.Params = map[string]string{}
	}
	maps.Copy(cfg.Params, params)
	return &mySQL{cfg: cfg}, nil
}

func (*mySQL) name() string { return "MySQL" }

func (m *mySQL) open(lockWait time.Duration) (*sql.DB, error) {
	cfg := m.cfg.Clone()
	cfg.Params["innodb_lock_wait_timeout"] = strconv.Itoa(max(1, int(lockWait.Seconds())))
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("database.mysql: %w", err)
	}
	return sql.OpenDB(connector), nil
}

func (*mySQL) begin() string { return "START TRANSACTION" }
func (*mySQL) now() string   { return "CURRENT_TIMESTAMP(6)" }

func (*mySQL) connectionID(ctx context.Context, c *sql.Conn) (id uint64, err error) {
	err = c.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&id)
	return id, err
}

func (*mySQL) ignoring(column string) string {
	return fmt.Sprintf(" ON DUPLICATE KEY UPDATE %s = %s", column, column)
}

func (*mySQL) insert(t *table) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + backquoted(t.name) + " (")
	for _, c := range t.columns {
		b.WriteString(backquoted(c.Name) + ",")
	}
	b.WriteString(versionColumn + ") VALUES ")
	return b.String()
}

// merge assigns the version last: MySQL evaluates the assignments from left to right, and each later one sees what the
// earlier ones assigned (MySQL Reference Manual, "INSERT ... ON DUPLICATE KEY UPDATE Statement").
func (m *mySQL) merge(t *table) string {
	var b strings.Builder
	b.WriteString(m.duplicate())
	name := backquoted(t.name)
	assign := func(column string) {
		if mutant.Off(mutant.RowVersions) {
			fmt.Fprintf(&b, "%s = %s", column, m.inserted(column))
			return
		}
		fmt.Fprintf(&b, "%s = IF(%s > %s.%s, %s, %s.%s)", column, m.inserted(versionColumn), name, versionColumn, m.inserted(column), name, column)
	}
	for _, c := range t.columns {
		if !c.Key {
			assign(backquoted(c.Name))
			b.WriteString(", ")
		}
	}
	assign(versionColumn)
	return b.String()
}

func (m *mySQL) mergeMarks() string {
	at, version := m.inserted("marked_at"), m.inserted("version")
	return m.duplicate() + "marked_at = IF(" + version + " > millrace_marks.version, " + at + ", millrace_marks.marked_at)," +
		" version = IF(" + version + " > millrace_marks.version, " + version + ", millrace_marks.version)"
}

// duplicate is what comes between the rows of an upsert and its assignments.
func (m *mySQL) duplicate() string {
	if m.values {
		return " ON DUPLICATE KEY UPDATE "
	}
	return " AS n ON DUPLICATE KEY UPDATE "
}

// inserted is the value that an upsert would insert into a column.
func (m *mySQL) inserted(column string) string {
	if m.values {
		return "VALUES(" + column + ")"
	}
	return "n." + column
}

// inspect asks for the version, and for the longest statement: half of what the server takes, so that no estimate has to be exact.
func (m *mySQL) inspect(ctx context.Context, db *sql.DB) (statementBytes int, err error) {
	var version string
	if err := db.QueryRowContext(ctx, "SELECT VERSION(), @@max_allowed_packet").Scan(&version, &statementBytes); err != nil {
		return 0, err
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return 0, fmt.Errorf("the server's version is %q: %w", version, err)
	}
	if major < 8 || strings.Contains(version, "MariaDB") {
		return 0, &serverError{version}
	}
	m.values = major == 8 && minor == 0 && patch < 19
	m.loads, err = takesLoads(ctx, db)
	return statementBytes / 2, err
}

func takesLoads(ctx context.Context, db *sql.DB) (bool, error) {
	rows, err := db.QueryContext(ctx, "SHOW VARIABLES WHERE Variable_name IN ('local_infile', 'log_bin', 'binlog_format')")
	if err != nil {
		return false, err
	}
	defer func() { _ = rows.Close() }()
	is := map[string]string{"binlog_format": "ROW"} // the only one that future servers have
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return false, err
		}
		is[name] = value
	}
	return is["local_infile"] == "ON" && (is["log_bin"] == "OFF" || is["binlog_format"] == "ROW"), rows.Err()
}

func (m *mySQL) bulk(t *table) *bulk {
	if !m.loads {
		return nil
	}
	return newBulk(t)
}

// evict kills connections of our own user in this schema: after a restart of the server an id may be somebody else's. An
// owner that is not frozen after all connects again, and finds that it is fenced.
func (*mySQL) evict(ctx context.Context, db *sql.DB, connections []uint64) (int, error) {
	killed := 0
	var errs []error
	for _, id := range connections {
		ours, err := isOurs(ctx, db, id)
		if err == nil && ours {
			_, err = db.ExecContext(ctx, fmt.Sprintf("KILL %d", id))
		}
		const noSuchThread = 1094
		switch {
		case err != nil && mysqlNumber(err) != noSuchThread:
			errs = append(errs, fmt.Errorf("kill connection %d of a frozen sink: %w; the sinks must use one MySQL user, or have CONNECTION_ADMIN", id, err))
		case err == nil && ours:
			killed++
		}
	}
	return killed, errors.Join(errs...)
}

// isOurs reports whether a connection is of our user and in our schema. It reads SHOW PROCESSLIST, for
// information_schema.processlist fails where any session's statement cannot be converted to utf8mb3.
func isOurs(ctx context.Context, db *sql.DB, connection uint64) (bool, error) {
	var user, schema string
	if err := db.QueryRowContext(ctx, "SELECT USER(), DATABASE()").Scan(&user, &schema); err != nil {
		return false, err
	}
	rows, err := db.QueryContext(ctx, "SHOW PROCESSLIST")
	if err != nil {
		return false, err
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		return false, err
	}
	values := make([]sql.NullString, len(names))
	targets := make([]any, len(names))
	for i := range values {
		targets[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return false, err
		}
		const id, name, in = 0, 1, 3 // the places of Id, User and db
		if values[id].String == strconv.FormatUint(connection, 10) {
			return strings.HasPrefix(user, values[name].String+"@") && values[in].String == schema, nil
		}
	}
	return false, rows.Err()
}

func (*mySQL) locked(err error) bool {
	const lockWaitTimeout = 1205
	return mysqlNumber(err) == lockWaitTimeout
}

// text escapes as MySQL does without NO_BACKSLASH_ESCAPES, which our sql_mode leaves out (MySQL Reference Manual,
// "String Literals"). The connection speaks utf8mb4, in which no other character holds these bytes.
func (*mySQL) text(dst, s []byte) []byte {
	dst = append(dst, '\'')
	begin := 0
	for i, c := range s {
		var escaped byte
		switch c {
		case 0:
			escaped = '0'
		case '\'', '\\':
			escaped = c
		case 0x1a:
			escaped = 'Z'
		default:
			continue
		}
		dst = append(append(dst, s[begin:i]...), '\\', escaped)
		begin = i + 1
	}
	return append(append(dst, s[begin:]...), '\'')
}

func (m *mySQL) json(dst []byte, v jsontext.Value) ([]byte, error) {
	if v.Kind() == '"' && bytes.IndexByte(v, '\\') < 0 && bytes.IndexByte(v, '\'') < 0 {
		dst = append(append(dst, '\''), v[1:len(v)-1]...) // nothing to unescape, nothing to escape
		return append(dst, '\''), nil
	}
	text, err := textOf(v)
	if err != nil {
		return nil, err
	}
	return m.text(dst, text), nil
}

func (*mySQL) bytes(dst, b []byte) []byte { return appendHex(dst, b) }

func backquoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
