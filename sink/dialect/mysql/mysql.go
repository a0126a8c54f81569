// Package mysql is the sink's dialect of MySQL 8.0 or later. (MariaDB's collations and settings differ; it will be a
// dialect of its own.)
package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
)

// Dialect is MySQL.
type Dialect struct {
	cfg *mysql.Config

	// values says how an upsert names the values that it would insert: before MySQL 8.0.19 there is no row alias
	// (MySQL Reference Manual, "INSERT ... ON DUPLICATE KEY UPDATE Statement"). Set by Inspect, as is loads.
	values bool
	// loads says that the server takes LOAD DATA LOCAL, and that its binary log has rows, which know nothing of
	// temporary tables.
	loads bool
}

// New reads the DSN. It makes no connection, and its errors quote nothing of the DSN.
func New(dsn pipeline.Secret) (*Dialect, error) {
	cfg, err := mysql.ParseDSN(dsn.Reveal())
	if err != nil {
		// err may quote the password.
		return nil, errors.New("database.mysql: not a DSN; it is written user:password@tcp(host:3306)/schema")
	}
	if cfg.DBName == "" {
		return nil, errors.New("database.mysql: the DSN names no schema; it is written user:password@tcp(host:3306)/schema")
	}
	cfg.ClientFoundRows = true   // an UPDATE counts the rows it matches: a guard that holds is 1, whatever the values
	cfg.InterpolateParams = true // one round trip a statement
	cfg.MultiStatements = false
	cfg.MaxAllowedPacket = 0   // the server's
	cfg.RejectReadOnly = false // its error would be nameless; the sink gives the connection up itself, see errors.go
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
	// A writer's session is, but for milliseconds, silent between transactions only, and connects again.
	wait := strconv.Itoa(int(dialect.SessionWait.Seconds()))
	params := map[string]string{
		"sql_mode":              "'STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
		"time_zone":             "'+00:00'",
		"transaction_isolation": "'READ-COMMITTED'",
		"wait_timeout":          wait,
		"net_read_timeout":      wait,
		"net_write_timeout":     wait,
		"sql_notes":             "0", // a warning is what would be an error, see load.go
	}
	if cfg.Params == nil {
		cfg.Params = map[string]string{}
	}
	maps.Copy(cfg.Params, params)
	return &Dialect{cfg: cfg}, nil
}

// Name is how people call it.
func (*Dialect) Name() string { return "MySQL" }

// Writers is without a bound: MySQL has as many as it has connections.
func (*Dialect) Writers() int { return math.MaxInt }

// Place is the user, the server and the schema.
func (m *Dialect) Place() string { return m.cfg.User + "@" + m.cfg.Addr + "/" + m.cfg.DBName }

// Open returns a pool whose sessions wait so long for a lock, in whole seconds.
func (m *Dialect) Open(lockWait time.Duration) (*sql.DB, error) {
	cfg := m.cfg.Clone()
	wait := strconv.Itoa(max(1, int(lockWait.Seconds())))
	cfg.Params["innodb_lock_wait_timeout"] = wait // of rows
	cfg.Params["lock_wait_timeout"] = wait        // of tables
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("database.mysql: %w", err)
	}
	return sql.OpenDB(connector), nil
}

// ConnectionID asks the server.
func (*Dialect) ConnectionID(ctx context.Context, c *sql.Conn) (id uint64, err error) {
	err = c.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&id)
	return id, err
}
