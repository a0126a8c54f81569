package dialect

import (
	"context"
	"database/sql"
	"fmt"
)

// Added is a column of one of millrace's own tables that tables of a version before lack.
type Added struct{ Table, Column, Definition string }

// AddMissing adds those of the columns that are not there. count is a query that counts the columns of a table by its
// name and theirs, and duplicate reports whether an error says that somebody else has added the column since.
func AddMissing(ctx context.Context, db *sql.DB, all []Added, count string, duplicate func(error) bool) error {
	for _, a := range all {
		var n int
		if err := db.QueryRowContext(ctx, count, a.Table, a.Column).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		statement := "ALTER TABLE " + a.Table + " ADD COLUMN " + a.Column + " " + a.Definition
		if _, err := db.ExecContext(ctx, statement); err != nil && !duplicate(err) {
			return fmt.Errorf("a version before has made the table, and the user may not be allowed to alter it; "+
				"then run this as one who is: %s: %w", statement, err)
		}
	}
	return nil
}
