package sink

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// writerLockWait is how long a writer waits for a row lock before it gives its transaction up: sinks share no rows,
// so it is somebody else's, and while we wait no partition can be taken from us.
const writerLockWait = 10 * time.Second

// store is the database: its tables, its pools, and marks that are old. Claims are in claim.go, what writers do in
// writer.go.
type store struct {
	dialect dialect.Dialect
	cfg     Config
	owner   string // owner_name of claims

	pipeline string
	file     string                      // path of the pipeline file; empty: not known
	streams  map[string]bool             // all of the pipeline's
	adopt    map[string]bool             // streams that take their tables from whoever has them
	may      func(context.Context) error // is asked before a table is made; nil: nobody is asked
	holding  sync.Mutex
	held     map[string]heldAs // by topic
	// declared are the ids of topics that were recreated, for which processors were given positions; nil: that is not
	// asked for.
	declared map[string][16]byte

	db      *sql.DB // for everything but writing: schema, claims, marks that are old
	writers *sql.DB // for the writers, which keep their connections

	// These are known after prepare, and read-only.
	bytes      int // of a statement, at most
	statements dialect.Statements
	upserts    map[*rows.Table]dialect.Upsert

	kept sync.Map // of *rows.Table: what is to be kept of it, as of the last look
}

// open opens the pools; it makes no connection.
func (s *store) open() (err error) {
	if s.db, err = s.dialect.Open(s.cfg.LockTimeout); err != nil {
		return err
	}
	s.writers, err = s.dialect.Open(writerLockWait)
	return err
}

func (s *store) close() {
	for _, db := range []*sql.DB{s.db, s.writers} {
		if db != nil {
			_ = db.Close()
		}
	}
}
