package mysql

import (
	"context"
	"database/sql"
)

// Size asks InnoDB's statistics of the clustered index, and for the size of the buffer pool.
func (*Dialect) Size(ctx context.Context, db *sql.DB, table string) (rows, memory int64, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = conn.Close() }()
	// MySQL otherwise answers what it knew up to a day ago; MariaDB does not know the setting.
	if _, err := conn.ExecContext(ctx, "SET SESSION information_schema_stats_expiry = 0"); err == nil {
		defer func() {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "SET SESSION information_schema_stats_expiry = DEFAULT")
		}()
	}
	err = conn.QueryRowContext(ctx, `SELECT @@innodb_buffer_pool_size, COALESCE((SELECT data_length FROM information_schema.tables
		WHERE table_schema = DATABASE() AND table_name = ?), 0)`, table).Scan(&memory, &rows)
	return rows, memory, err
}
