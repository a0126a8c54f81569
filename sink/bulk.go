package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
)

// bulk is the fast way of an upsert, where the server takes LOAD DATA LOCAL: the rows go into a temporary table of the session, in
// memory, and from there into the table by one INSERT … SELECT, with the same assignments as any upsert. So the server parses no
// literals, which is a good part of what an INSERT of many rows costs it.
//
// LOAD DATA LOCAL makes warnings of errors (MySQL Reference Manual, "LOAD DATA Statement"), so rows with any warning go
// the plain way, which refuses them. So do few rows, and those of a table that has columns that memory cannot hold.
type bulk struct {
	temporary string       // the name of the temporary table
	create    string       // makes it, with the table's columns and no rows
	load      string       // takes the name of a reader of rows
	insert    string       // comes before what [dialect.merge] returns
	rows      int          // at most of one load
	closed    atomic.Int64 // until then, in Unix seconds, the plain way is taken
}

// errBulk says that the server refused the fast way. The transaction is to begin again, and will take the plain way.
var errBulk = errors.New("by LOAD DATA")

// bulkRest is how long the fast way rests after the server refused it.
const bulkRest = 10 * time.Minute

// bulkMemory is how large a temporary table becomes: half of what max_heap_table_size is by default.
const bulkMemory = 8 << 20

// newBulk returns nil if t does not fit into a table in memory.
func newBulk(t *table) *bulk {
	width := 32
	var names []string
	for i := range t.columns {
		n := t.columns[i].memory()
		if n == 0 {
			return nil
		}
		width += n
		names = append(names, backquoted(t.columns[i].Name))
	}
	columns := strings.Join(names, ", ")
	temporary := fmt.Sprintf("millrace_bulk_%x", rawKey([]byte(t.name)))
	b := &bulk{
		temporary: temporary,
		create: fmt.Sprintf("CREATE TEMPORARY TABLE %s ENGINE = MEMORY SELECT %s, %s FROM %s LIMIT 0",
			temporary, columns, versionColumn, backquoted(t.name)),
		load: fmt.Sprintf(`LOAD DATA LOCAL INFILE ? INTO TABLE %s CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\'' ESCAPED BY '\\'`+
			` LINES TERMINATED BY '\n' (%s, @version) SET %s = UNHEX(@version)`, temporary, columns, versionColumn),
		insert: fmt.Sprintf("INSERT INTO %s (%s, %s) SELECT %[2]s, %[3]s FROM %[4]s", backquoted(t.name), columns, versionColumn, temporary),
		rows:   bulkMemory / width,
	}
	if b.rows == 0 {
		return nil
	}
	return b
}

// memory is how many bytes a value takes in a table in memory, where all are as long as the longest; 0: it cannot be there.
func (c column) memory() int {
	var n int
	switch {
	case c.kind == kindJSON || c.kind == kindBinary:
		return 0
	case c.kind == kindDecimal:
		return 32
	case c.kind != kindText:
		return 8
	case c.isCharacter():
		if _, err := fmt.Sscanf(c.Type[strings.IndexByte(c.Type, '(')+1:], "%d", &n); err != nil {
			n = 1
		}
		return 4*n + 2
	default:
		return 0
	}
}

// take says how many of n rows go the fast way at once, if it pays from so many; 0: none.
func (b *bulk) take(n, from int) int {
	if b == nil || min(n, b.rows) < from || time.Now().Unix() < b.closed.Load() {
		return 0
	}
	return min(n, b.rows)
}

func (b *bulk) close(rest time.Duration) { b.closed.Store(time.Now().Add(rest).Unix()) }

// bulk upserts rows the fast way. It reports false, and has written nothing, if the plain way must judge them.
func (w *writer) bulk(ctx context.Context, t *table, b *bulk, rows []*change) (done bool, err error) {
	loaded, err := w.load(ctx, b, rows)
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		b.close(bulkRest)
		return false, fmt.Errorf("upsert into %s %w: %w", t.name, errBulk, e)
	}
	if err != nil || !loaded {
		return false, err
	}
	if err := w.exec(ctx, b.insert+w.store.dialect.merge(t)); err != nil {
		return false, fmt.Errorf("upsert into %s: %w", t.name, err)
	}
	return true, nil
}

// load fills the temporary table. It reports false if a value did not fit.
func (w *writer) load(ctx context.Context, b *bulk, rows []*change) (bool, error) {
	if w.temporary[b] {
		if _, err := w.conn.ExecContext(ctx, "DELETE FROM "+b.temporary); err != nil {
			return false, err
		}
	} else {
		if _, err := w.conn.ExecContext(ctx, b.create); err != nil {
			return false, err
		}
		w.temporary[b] = true
	}
	name := fmt.Sprintf("%s_%p", b.temporary, w)
	mysql.RegisterReaderHandler(name, func() io.Reader { return &lines{rows: rows} })
	defer mysql.DeregisterReaderHandler(name)
	done, err := w.conn.ExecContext(ctx, b.load, "Reader::"+name)
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	if err != nil {
		return false, err
	}
	var warnings int
	err = w.conn.QueryRowContext(ctx, "SHOW COUNT(*) WARNINGS").Scan(&warnings)
	return warnings == 0 && int(n) == len(rows), err
}

// lines reads rows as LOAD DATA takes them: literals, as in an INSERT, but only the digits of the version's.
type lines struct {
	rows []*change
	rest []byte // of the line under way
	line []byte
}

func (l *lines) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(l.rest) == 0 {
			if len(l.rows) == 0 {
				break
			}
			row := l.rows[0].row
			version := len(row) - len(")") - 2*len(l.rows[0].version) - len("X''")
			l.line = append(append(l.line[:0], row[1:version]...), row[version+2:len(row)-2]...)
			l.line = append(l.line, '\n')
			l.rest, l.rows = l.line, l.rows[1:]
		}
		k := copy(p[n:], l.rest)
		n, l.rest = n+k, l.rest[k:]
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
