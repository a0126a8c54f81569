package dialect

import (
	"context"
	"database/sql"
)

// Finding is what a look at a server has shown.
type Finding struct {
	What    string // that was looked at: version, sql_mode
	Is      string // what it is
	Problem string // empty: it is well
	Fix     string // what to do about it
	Warning bool   // of a problem: the sink works all the same
}

// Examiner is a [Dialect] of a server that can be looked at before the sink runs.
type Examiner interface {
	// Examine looks at settings, rights and clock. It changes nothing.
	Examine(ctx context.Context, db *sql.DB) ([]Finding, error)
}
