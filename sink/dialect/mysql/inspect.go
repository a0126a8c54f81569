package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/sink/dialect"
)

// Inspect asks for the version, and for the longest statement: half of what the server takes, so that no estimate has
// to be exact.
func (m *Dialect) Inspect(ctx context.Context, db *sql.DB) (statementBytes int, err error) {
	var version string
	if err := db.QueryRowContext(ctx, "SELECT VERSION(), @@max_allowed_packet").Scan(&version, &statementBytes); err != nil {
		return 0, err
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return 0, fmt.Errorf("the server's version is %q: %w", version, err)
	}
	if major < 8 || strings.Contains(version, "MariaDB") {
		return 0, &dialect.ServerError{Reason: fmt.Sprintf("database.mysql: the server is %s; the sink needs MySQL 8.0 or later", version)}
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
