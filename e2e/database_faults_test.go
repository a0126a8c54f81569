//go:build integration

package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/topics"
)

// TestDatabaseFaults does to MySQL what operators do on a bad day, while records come and old ones are sent again: each
// fault is told by a line that names it, streams that it is not about go on, and when it is over all go on without a
// restart. Sinks are killed during some of them.
func TestDatabaseFaults(t *testing.T) {
	s := seed(t)
	server := testservers.NewSmallMySQL(t, 480)
	w := newWorld(t, s, testservers.Kafka(t), server.DSN(), nil)
	d := newBadDay(w, rand.New(rand.NewPCG(s, 8)))
	d.server = server
	c, err := d.survive(twoOfEach)
	if err != nil {
		t.Fatal(err)
	}
	c.mustHold(t)
	for _, name := range twoOfEach {
		w.fleet.stop(name)
	}
}

// databaseFault is a state of the server, of a table or of the account that keeps sinks from writing, or may do.
type databaseFault struct {
	name   string
	stream string   // whose table it is about; empty: all
	says   []string // what one line of a sink's log must hold; none: there is nothing to tell
	begin  []string // statements of an administrator
	fill   bool     // the disk is full then
	cut    bool     // the sinks' sessions end then: they know of rights, and have their connections
	lift   []string
}

// badDay is a world whose sinks have an account of their own.
type badDay struct {
	*world
	dice            *rand.Rand
	server          *testservers.MySQLServer
	admin           *sql.Conn // it stays when others cannot connect
	schema, account string
}

const sinkRights = "SELECT, INSERT, UPDATE, DELETE, CREATE, CREATE TEMPORARY TABLES"

func newBadDay(w *world, dice *rand.Rand) *badDay {
	w.t.Helper()
	cfg, err := mysql.ParseDSN(w.dsn)
	if err != nil {
		w.t.Fatal(err)
	}
	d := &badDay{world: w, dice: dice, schema: "`" + cfg.DBName + "`", account: "sinks"}
	if d.admin, err = w.db.Conn(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = d.admin.Close() })
	for _, statement := range []string{"CREATE USER sinks IDENTIFIED BY 'secret'", d.grant(sinkRights, "*")} {
		if _, err := d.admin.ExecContext(w.t.Context(), statement); err != nil {
			w.t.Fatal(err)
		}
	}
	cfg.User, cfg.Passwd = d.account, "secret"
	file := w.source.file(w.pipeline, w.brokers, cfg.FormatDSN())
	if err := os.WriteFile(w.fleet.file, []byte(file), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (d *badDay) grant(rights, table string) string {
	return fmt.Sprintf("GRANT %s ON %s.%s TO %s", rights, d.schema, table, d.account)
}

func (d *badDay) revoke(rights, table string) string {
	return fmt.Sprintf("REVOKE %s ON %s.%s FROM %s", rights, d.schema, table, d.account)
}

// faults are all, once each, in an order and with streams that are drawn: a cause that comes twice within a minute is
// logged once.
func (d *badDay) faults() []databaseFault {
	of := d.dice.Perm(len(streamNames))
	stream := func(n int) string { return streamNames[of[n]] }
	narrowed := databaseFault{
		name: "a right to one table revoked", stream: stream(2), cut: true,
		says: []string{"stream " + stream(2), "table " + stream(2), "INSERT command denied", "grant the user"},
		lift: []string{d.grant(sinkRights, "*")}, // what is granted by table stays, for the sake of sessions that have begun
	}
	own := []string{"millrace_offsets", "millrace_marks", "millrace_tables", "millrace_caught_up"}
	for _, table := range append(own, streamNames...) {
		if table != stream(2) {
			narrowed.begin = append(narrowed.begin, d.grant("INSERT", table))
		}
	}
	narrowed.begin = append(narrowed.begin, d.revoke("INSERT", "*"))
	all := []databaseFault{
		narrowed,
		{
			name: "a column widened", stream: stream(3),
			begin: []string{fmt.Sprintf("ALTER TABLE %s MODIFY note varchar(30), MODIFY id varchar(300) COLLATE utf8mb4_0900_bin", stream(3))},
		},
		{
			name: "read-only", says: []string{"waiting for MySQL", "the server is read-only"},
			begin: []string{"SET GLOBAL read_only = ON"}, lift: []string{"SET GLOBAL read_only = OFF"},
		},
		{
			name: "too many connections", says: []string{"waiting for MySQL", "Too many connections"}, cut: true,
			begin: []string{"SET GLOBAL max_connections = 1"}, lift: []string{"SET GLOBAL max_connections = 151"},
		},
		{
			name: "a table locked", stream: stream(0),
			says:  []string{"stream " + stream(0), "table " + stream(0), "another session locks the table"},
			begin: []string{"LOCK TABLES " + stream(0) + " WRITE"}, lift: []string{"UNLOCK TABLES"},
		},
		{
			name: "a table gone", stream: stream(1),
			says:  []string{"stream " + stream(1), "table " + stream(1) + ": it is not there"},
			begin: []string{fmt.Sprintf("RENAME TABLE %s TO away", stream(1))}, lift: []string{"RENAME TABLE away TO " + stream(1)},
		},
		{
			name: "the disk full", says: []string{"waiting for MySQL", "the server's disk is full"}, fill: true,
			begin: []string{"CREATE TABLE filler (b longblob)"}, lift: []string{"DROP TABLE filler"},
		},
		{
			name: "all rights revoked", says: []string{"waiting for MySQL", "Access denied for user", "grant the user"}, cut: true,
			begin: []string{"REVOKE ALL, GRANT OPTION FROM " + d.account}, lift: []string{d.grant(sinkRights, "*")},
		},
	}
	d.dice.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// survive runs the named processes while the source changes and old records are sent again, has all faults come and go,
// and compares.
func (d *badDay) survive(names []string) (*comparison, error) {
	ctx := d.t.Context()
	d.fleet.startAll(names...)
	if err := d.watchOffsets(ctx); err != nil {
		return nil, err
	}
	busy, rest := context.WithCancel(ctx)
	defer rest()
	changed, again := make(chan struct{}), make(chan int, 1) // again: one send, so that it never waits
	go func() {
		defer close(changed)
		d.changes(busy, 150*3600, time.Hour) // until the last fault
	}()
	go func() { again <- d.sendAgain(busy) }()
	if err := d.goesOn(ctx, streamNames); err != nil { // every table has rows
		return nil, err
	}
	for _, f := range d.faults() {
		if err := d.bear(ctx, f); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	rest()
	<-changed
	<-again
	return d.verdict(ctx, 5*time.Minute)
}

// bear has a fault come, stay for some seconds after it was told, and go.
func (d *badDay) bear(ctx context.Context, f databaseFault) error {
	began, before := time.Now(), d.fleet.warnings("sink")
	if err := d.administer(ctx, f.begin, f.cut); err != nil {
		return err
	}
	if f.fill {
		d.server.Exec(d.t, "sh", "-c", "head -c 8m /dev/zero >"+reserve)
		if err := d.fill(ctx); err != nil {
			return err
		}
	}
	if kill := d.dice.IntN(4); kill < 2 {
		name := fmt.Sprint("sink-", kill+1)
		d.fleet.kill(name)
		d.fleet.start(name)
		f.name += ", " + name + " killed"
	}
	err := testkit.Until(ctx, 3*time.Minute, func() error {
		if len(f.says) > 0 && !slices.ContainsFunc(d.warned(before), f.isTold) {
			return fmt.Errorf("no sink's log has a line with %q", f.says)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w:\n%s", err, strings.Join(d.warned(before), "\n"))
	}
	testkit.Pause(ctx, time.Duration(1000+d.dice.IntN(3000))*time.Millisecond) // at random
	if f.stream != "" {
		others := slices.DeleteFunc(slices.Clone(streamNames), func(s string) bool { return s == f.stream })
		if err := d.goesOn(ctx, others); err != nil {
			return fmt.Errorf("the other streams: %w", err)
		}
	}
	told := time.Since(began)
	if f.fill {
		d.server.Exec(d.t, "rm", reserve)
	}
	if err := d.administer(ctx, f.lift, false); err != nil {
		return err
	}
	if err := d.goesOn(ctx, streamNames); err != nil {
		return fmt.Errorf("when it was over: %w", err)
	}
	lines := d.warned(before)
	over := time.Since(began) - told
	d.t.Logf("%s of %q: %.1f s, going on after %.1f s, %d lines:\n  %s",
		f.name, f.stream, told.Seconds(), over.Seconds(), len(lines), strings.Join(lines, "\n  "))
	if len(lines) > maxFaultLines {
		d.t.Errorf("%s: %d lines, want at most %d", f.name, len(lines), maxFaultLines)
	}
	return nil
}

// maxFaultLines are the lines about one fault in the logs of two sinks, one of which may be killed: up to six, and one
// more each minute on a slow machine. Each attempt being told makes hundreds.
const maxFaultLines = 20

func (f *databaseFault) isTold(line string) bool {
	return !slices.ContainsFunc(f.says, func(s string) bool { return !strings.Contains(line, s) })
}

// administer executes statements, and ends the sinks' sessions if cut is true.
func (d *badDay) administer(ctx context.Context, statements []string, cut bool) error {
	for _, statement := range statements {
		if _, err := d.admin.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	if !cut {
		return nil
	}
	var ids sql.NullString
	const query = "SELECT GROUP_CONCAT(processlist_id) FROM performance_schema.threads WHERE processlist_user = ?"
	err := d.admin.QueryRowContext(ctx, query, d.account).Scan(&ids)
	if err != nil {
		return err
	}
	for _, id := range strings.FieldsFunc(ids.String, func(r rune) bool { return r == ',' }) {
		_, _ = d.admin.ExecContext(ctx, "KILL "+id) // it may have ended by itself
	}
	return nil
}

// reserve is a file on the server's disk that gives DROP TABLE room: on a full one mysqld has died of it.
const reserve = "/var/lib/mysql/reserve.bin"

// fill takes all room on the server's disk, for big pieces and then for small ones.
func (d *badDay) fill(ctx context.Context) error {
	for _, bytes := range []int{8 << 20, 16 << 10} {
		for range 200 {
			_, err := d.admin.ExecContext(ctx, "INSERT INTO filler VALUES (REPEAT('x', ?))", bytes)
			if answer, ok := errors.AsType[*mysql.MySQLError](err); ok && answer.Number == 1114 { // ER_RECORD_FILE_FULL
				break
			}
			if err != nil {
				return fmt.Errorf("fill the disk: %w", err)
			}
		}
	}
	return nil
}

// goesOn waits until the position of each partition of streams has moved, which needs that records come.
func (d *badDay) goesOn(ctx context.Context, streams []string) error {
	before, err := d.positions(ctx, streams)
	if err != nil {
		return err
	}
	err = testkit.Until(ctx, 3*time.Minute, func() error {
		now, err := d.positions(ctx, streams)
		for stream, next := range before {
			for partition := range int32(6) {
				if err == nil && now[stream][partition] <= next[partition] {
					err = fmt.Errorf("%s[%d] stays at %d", stream, partition, next[partition])
				}
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	if died := d.fleet.died(); len(died) > 0 {
		return fmt.Errorf("%s ended by itself:\n%s", died[0].name, died[0].tail(20))
	}
	return nil
}

// positions are the sink's next offsets, by stream and partition.
func (d *badDay) positions(ctx context.Context, streams []string) (map[string]map[int32]int64, error) {
	out := map[string]map[int32]int64{}
	for _, stream := range streams {
		next, err := d.stored(ctx, topics.Processed(d.pipeline, stream))
		if err != nil {
			return nil, err
		}
		out[stream] = next
	}
	return out, nil
}

// warned are the sinks' warnings since before, but for those of refused records, which come all the time.
func (d *badDay) warned(before map[*process][]string) (lines []string) {
	for p, all := range d.fleet.warnings("sink") {
		for _, line := range all[len(before[p]):] {
			if !strings.Contains(line, "records refused") {
				lines = append(lines, p.name+": "+line)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// warnings are the lines of a stage's processes that warn or tell of an error, of those that have ended too.
func (f *fleet) warnings(stage string) map[*process][]string {
	out := map[*process][]string{}
	f.mu.Lock()
	all := slices.Clone(f.ended)
	f.mu.Unlock()
	for _, p := range append(all, f.running()...) {
		if !strings.HasPrefix(p.name, stage+"-") {
			continue
		}
		out[p] = []string{}
		for line := range strings.Lines(p.log.String()) {
			if strings.Contains(line, "WARN") || strings.Contains(line, "ERROR") {
				out[p] = append(out[p], strings.TrimSpace(line))
			}
		}
	}
	return out
}
