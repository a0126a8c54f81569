//go:build integration

package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/internal/testkit"
)

// readRow is a row as a reader sees it.
type readRow struct {
	key     string // empty: it did not read that
	rev     int64
	shadow  bool // it is of the second line
	version []byte
}

// reading reads a table once.
type reading func(ctx context.Context) ([]readRow, error)

// audience reads the tables of streams in every way, all the time, and notes what no reader may see: a missing table, a
// missing row, rows of both lines, a row that goes back or comes back.
type audience struct {
	w       *world
	anchors map[string]map[int64]bool // revs of rows that nobody changes, by stream
	away    bool                      // the server may be away
	pause   time.Duration             // between two reads of a reader: others need the machine, too

	mu    sync.Mutex
	wrong []string
	reads map[string]int
	turns map[string]int // how often a reader saw that the line was another
}

// holds has the source change so many rows of a stream no more, and returns their revs.
func (s *source) holds(name string, n int) map[int64]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.streams[name]
	c.held = map[string]bool{}
	out := map[int64]bool{}
	for _, key := range c.ids {
		if r := (revision{name, key, c.newest[key]}); len(out) < n && r.good() && !r.filtered() {
			c.held[key], out[r.rev] = true, true
		}
	}
	return out
}

// watch reads until ctx ends. What it returns waits for that.
func (a *audience) watch(ctx context.Context) (wait func()) {
	a.reads, a.turns = map[string]int{}, map[string]int{}
	var all sync.WaitGroup
	for stream := range a.anchors {
		for name, open := range map[string]func(context.Context, string) (reading, func(), error){
			"text": a.text, "everything": a.everything, "prepared": a.prepared, "repeatable read": a.repeatable, "long": a.long,
		} {
			all.Go(func() { a.reader(ctx, name+" "+stream, stream, open) })
		}
		pool := a.open()
		pool.SetMaxOpenConns(3)
		var readers sync.WaitGroup
		for range poolReaders { // more than it has connections
			readers.Go(func() {
				a.reader(ctx, "pool "+stream, stream, func(ctx context.Context, stream string) (reading, func(), error) {
					return pooled(ctx, pool, stream)
				})
			})
		}
		all.Go(func() { readers.Wait(); _ = pool.Close() })
	}
	return all.Wait
}

// poolReaders are those of one pool.
const poolReaders = 5

// seen waits until each reader has read twice, so that one read has begun after the call. Those of a pool have one
// name.
func (a *audience) seen(ctx context.Context) error {
	counts := func() map[string]int {
		a.mu.Lock()
		defer a.mu.Unlock()
		return maps.Clone(a.reads)
	}
	before := counts()
	return testkit.Until(ctx, 2*time.Minute, func() error {
		now := counts()
		for name, n := range before {
			most := 2
			if strings.HasPrefix(name, "pool ") {
				most = poolReaders + 1
			}
			if now[name] < n+most {
				return fmt.Errorf("the reader %s has read %d times", name, now[name]-n)
			}
		}
		return nil
	})
}

func (a *audience) open() *sql.DB {
	dsn, err := mysql.ParseDSN(a.w.dsn)
	if err != nil {
		a.w.t.Fatal(err)
	}
	dsn.Logger = &mysql.NopLogger{} // the server may be away
	c, err := mysql.NewConnector(dsn)
	if err != nil {
		a.w.t.Fatal(err)
	}
	return sql.OpenDB(c)
}

// reader opens a reading, and again when the server was away.
func (a *audience) reader(ctx context.Context, name, stream string, open func(context.Context, string) (reading, func(), error)) {
	seen := &memory{highest: map[string][]byte{}, absent: map[string]bool{}}
	for ctx.Err() == nil {
		read, end, err := open(ctx, stream)
		for err == nil {
			var rows []readRow
			if rows, err = read(ctx); err == nil {
				a.judge(name, seen, rows, a.anchors[stream])
				testkit.Pause(ctx, a.pause)
			}
		}
		if end != nil {
			end()
		}
		if ctx.Err() != nil {
			return
		}
		if !a.away || !isAway(err) {
			a.notef("%s: %v", name, err)
			return
		}
		testkit.Pause(ctx, 200*time.Millisecond)
	}
}

// isAway tells what a reader gets of a server that is killed: nothing that the server says of tables.
func isAway(err error) bool {
	is, answered := errors.AsType[*mysql.MySQLError](err)
	return !answered || is.Number == 1053 // it is shutting down
}

func (a *audience) notef(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.wrong) < maxViolations {
		a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
	}
}

// memory is what one reader has seen.
type memory struct {
	highest map[string][]byte // versions, without their generation: each line has its own
	absent  map[string]bool   // of what it saw before
	shadow  bool
}

// judge looks at what one statement has read.
func (a *audience) judge(name string, seen *memory, rows []readRow, anchors map[int64]bool) {
	shadows, found := 0, 0
	there := map[string]bool{}
	for _, r := range rows {
		if r.shadow {
			shadows++
		}
		if anchors[r.rev] {
			found++
		}
		if r.key == "" {
			continue
		}
		there[r.key] = true
		version := r.version[:len(r.version)-2]
		switch order := bytes.Compare(version, seen.highest[r.key]); {
		case order < 0:
			a.notef("%s: %s went back from version %x to %x", name, r.key, seen.highest[r.key], version)
		case order == 0 && seen.absent[r.key]:
			a.notef("%s: %s was gone, and is there again at version %x", name, r.key, version)
		}
		delete(seen.absent, r.key)
		seen.highest[r.key] = version
	}
	for key := range seen.highest {
		if !there[key] {
			seen.absent[key] = true
		}
	}
	if shadows != 0 && shadows != len(rows) {
		a.notef("%s: %d of %d rows are of the second line", name, shadows, len(rows))
	}
	if found != len(anchors) {
		a.notef("%s: %d of %d rows that nobody changes", name, found, len(anchors))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reads[name]++
	if shadow := shadows > 0; shadow != seen.shadow {
		a.turns[name]++
		seen.shadow = shadow
	}
}

// scanRows reads an answer, whatever its columns are by now.
func scanRows(found *sql.Rows, err error) (out []readRow, _ error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	names, err := found.Columns()
	if err != nil {
		return nil, err
	}
	for found.Next() {
		var r readRow
		var amount int64
		into := make([]any, len(names))
		for i, name := range names {
			switch into[i] = new(any); name {
			case "id", "code":
				into[i] = &r.key
			case "rev":
				into[i] = &r.rev
			case "amount":
				into[i] = &amount
			case "_mr_version":
				into[i] = &r.version
			}
		}
		if err := found.Scan(into...); err != nil {
			return nil, err
		}
		r.key = strings.TrimPrefix(r.key, codePrefix)
		r.shadow = amount/r.rev >= 25 // 20 or 30 times as much
		if len(names) > 3 && r.shadow != slices.Contains(names, "total") {
			return nil, fmt.Errorf("the columns are %q, and the amount of rev %d is %d", names, r.rev, amount)
		}
		out = append(out, r)
	}
	return out, found.Err()
}

// text names the columns that both lines have.
func (a *audience) text(_ context.Context, stream string) (reading, func(), error) {
	db := a.open()
	return func(ctx context.Context) ([]readRow, error) {
		return scanRows(db.QueryContext(ctx, "SELECT rev, amount FROM "+stream))
	}, func() { _ = db.Close() }, nil
}

func (a *audience) everything(_ context.Context, stream string) (reading, func(), error) {
	db := a.open()
	return func(ctx context.Context) ([]readRow, error) {
		return scanRows(db.QueryContext(ctx, "SELECT * FROM "+stream))
	}, func() { _ = db.Close() }, nil
}

// prepared has one statement of the server on one connection.
func (a *audience) prepared(ctx context.Context, stream string) (reading, func(), error) {
	db := a.open()
	db.SetMaxOpenConns(1)
	statement, err := db.PrepareContext(ctx, "SELECT * FROM "+stream+" WHERE rev > ?")
	return func(ctx context.Context) ([]readRow, error) { return scanRows(statement.QueryContext(ctx, 0)) }, func() { _ = db.Close() }, err
}

// long holds the table for most of a second.
func (a *audience) long(_ context.Context, stream string) (reading, func(), error) {
	db := a.open()
	var one int64
	for rev := range a.anchors[stream] {
		one = rev
		break
	}
	return func(ctx context.Context) ([]readRow, error) {
		return scanRows(db.QueryContext(ctx, "SELECT *, IF(rev = ?, SLEEP(0.7), 0) FROM "+stream, one))
	}, func() { _ = db.Close() }, nil
}

// repeatable reads three times by one view of the data, which is older than its first look at the table. What it
// returns is the last one, without keys: such a view may be older than what it saw in the transaction before.
func (a *audience) repeatable(_ context.Context, stream string) (reading, func(), error) {
	db := a.open()
	return func(ctx context.Context) (rows []readRow, err error) {
		conn, err := db.Conn(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.ExecContext(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
			return nil, err
		}
		testkit.Pause(ctx, 300*time.Millisecond) // in which the names may change
		var before []readRow
		for range 3 {
			if rows, err = scanRows(conn.QueryContext(ctx, "SELECT rev, amount FROM "+stream+" ORDER BY rev")); err != nil {
				return nil, err
			}
			same := func(x, y readRow) bool { return x.rev == y.rev && x.shadow == y.shadow }
			if before != nil && !slices.EqualFunc(before, rows, same) {
				return nil, fmt.Errorf("%d rows, and then %d, by one view", len(before), len(rows))
			}
			before = rows
		}
		_, err = conn.ExecContext(ctx, "COMMIT")
		return rows, err
	}, func() { _ = db.Close() }, nil
}

// pooled takes any connection of a pool, each of which has the statement prepared, and looks whether it is alive.
func pooled(ctx context.Context, pool *sql.DB, stream string) (reading, func(), error) {
	statement, err := pool.PrepareContext(ctx, "SELECT * FROM "+stream+" WHERE rev > ?")
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) ([]readRow, error) {
		if err := pool.PingContext(ctx); err != nil {
			return nil, err
		}
		return scanRows(statement.QueryContext(ctx, 0))
	}, func() { _ = statement.Close() }, nil
}
