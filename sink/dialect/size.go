package dialect

import (
	"context"
	"database/sql"
)

// Sizer is a [Dialect] whose server keeps the pages of tables in memory of a bounded size, so that rows in any order
// are slow to write once a table exceeds it.
type Sizer interface {
	// Size returns, about, how many bytes the rows of a table take, 0 if there is no such table; and how many bytes of
	// memory there are for the pages of all tables.
	Size(ctx context.Context, db *sql.DB, table string) (rows, memory int64, err error)
}
