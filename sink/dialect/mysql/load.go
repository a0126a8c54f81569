package mysql

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/internal/columntype"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// load is the way of many rows into one table, where the server takes LOAD DATA LOCAL: the rows go into a temporary
// table of the session, in memory, and from there into the table by one INSERT … SELECT, with the same assignments as
// any upsert. So the server parses no literals, which is a good part of what an INSERT of many rows costs it.
//
// LOAD DATA LOCAL makes warnings of errors (MySQL Reference Manual, "LOAD DATA Statement"), so rows with any warning go
// by INSERT, which refuses them. So do few rows, and those of a table that has columns that memory cannot hold.
//
// The temporary table is made in the transaction that uses it: what it is made from cannot be altered until the
// transaction ends, so both have the same columns.
type load struct {
	dialect   *Dialect
	table     string       // the name of the table
	temporary string       // the name of the temporary table
	create    [2]string    // drop the one before, and make it, with the table's columns as they are now and no rows
	fill      string       // takes the name of a reader of rows
	upsert    string       // from the temporary table into the table
	rows      int          // at most of one load
	closed    atomic.Int64 // until then, in Unix seconds, rows go by INSERT
}

const (
	badField = 1054 // ER_BAD_FIELD_ERROR
	// loadRest is how long LOAD DATA rests after the server refused it.
	loadRest = 10 * time.Minute
	// loadMemory is how large a temporary table becomes: half of what max_heap_table_size is by default.
	loadMemory = 8 << 20
)

// newLoad returns nil if t does not fit into a table in memory. merge is the end of its upsert.
func (m *Dialect) newLoad(t *rows.Table, merge string) *load {
	width := 32
	var names []string
	for _, c := range t.Columns {
		n := memory(c)
		if n == 0 {
			return nil
		}
		width += n
		names = append(names, dialect.Quote(c.Name))
	}
	if loadMemory/width == 0 {
		return nil
	}
	columns, name := strings.Join(names, ", "), sha256.Sum256([]byte(t.Name))
	temporary := fmt.Sprintf("millrace_bulk_%x", name[:16])
	return &load{
		dialect: m, table: t.Name, temporary: temporary,
		create: [2]string{
			"DROP TEMPORARY TABLE IF EXISTS " + temporary,
			fmt.Sprintf("CREATE TEMPORARY TABLE %s ENGINE = MEMORY SELECT %s, %s FROM %s LIMIT 0",
				temporary, columns, rows.VersionColumn, dialect.Quote(t.Name)),
		},
		fill: fmt.Sprintf(`LOAD DATA LOCAL INFILE ? INTO TABLE %s CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\'' ESCAPED BY '\\'`+
			` LINES TERMINATED BY '\n' (%s, @version) SET %s = UNHEX(@version)`, temporary, columns, rows.VersionColumn),
		upsert: fmt.Sprintf("INSERT INTO %s (%s, %s) SELECT %[2]s, %[3]s FROM %[4]s", dialect.Quote(t.Name), columns, rows.VersionColumn, temporary) + merge,
		rows:   loadMemory / width,
	}
}

// memory is how many bytes a value takes in a table in memory, where all are as long as the longest; 0: it cannot be
// there.
func memory(c rows.Column) int {
	switch name := c.SQL.Name(); {
	case c.Kind == columntype.JSON || c.Kind == columntype.Binary:
		return 0
	case c.Kind == columntype.Text && name != "varchar" && name != "char":
		return 0
	default:
		return max(8, c.SQL.RowBytes())
	}
}

// Rows is n, at most what memory holds, or 0 while LOAD DATA rests.
func (l *load) Rows(n int) int {
	if time.Now().Unix() < l.closed.Load() {
		return 0
	}
	return min(n, l.rows)
}

// Upsert fills the temporary table, and upserts from there.
func (l *load) Upsert(ctx context.Context, s *dialect.Session, changes []*rows.Change) (done bool, err error) {
	fits, err := l.load(ctx, s, changes)
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		if l.dialect.Missing(err) || number(err) == badField || transient[e.Number] {
			return false, fmt.Errorf("upsert into %s: %w", l.table, l.dialect.Classify(err)) // INSERT would meet it too
		}
		l.closed.Store(time.Now().Add(loadRest).Unix())
		return false, fmt.Errorf("upsert into %s %w: LOAD DATA rests for %s: %w", l.table, dialect.ErrBulk, loadRest, e)
	}
	if err != nil || !fits {
		return false, err
	}
	if _, err := s.ExecContext(ctx, l.upsert); err != nil {
		return false, fmt.Errorf("upsert into %s: %w", l.table, l.dialect.Classify(err))
	}
	return true, nil
}

// load fills the temporary table. It reports false if a value did not fit.
func (l *load) load(ctx context.Context, s *dialect.Session, changes []*rows.Change) (bool, error) {
	for _, statement := range l.create {
		if _, err := s.ExecContext(ctx, statement); err != nil {
			return false, err
		}
	}
	name := fmt.Sprintf("%s_%p", l.temporary, s)
	mysql.RegisterReaderHandler(name, func() io.Reader { return &lines{dialect: l.dialect, changes: changes} })
	defer mysql.DeregisterReaderHandler(name)
	done, err := s.ExecContext(ctx, l.fill, "Reader::"+name)
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	if err != nil {
		return false, err
	}
	var warnings int
	err = s.QueryRowContext(ctx, "SHOW COUNT(*) WARNINGS").Scan(&warnings)
	return warnings == 0 && int(n) == len(changes), err
}

// lines reads rows as LOAD DATA takes them: fields are literals, as in an INSERT, but of the version the hexadecimal
// digits alone.
type lines struct {
	dialect *Dialect
	changes []*rows.Change
	line    []byte
	rest    []byte // of the line under way
}

func (l *lines) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(l.rest) == 0 {
			if len(l.changes) == 0 {
				break
			}
			x := l.changes[0]
			l.line = append(dialect.AppendValues(l.line[:0], l.dialect, x.Row), ',')
			l.line = append(dialect.AppendDigits(l.line, x.Version[:]), '\n')
			l.rest, l.changes = l.line, l.changes[1:]
		}
		k := copy(p[n:], l.rest)
		n, l.rest = n+k, l.rest[k:]
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
