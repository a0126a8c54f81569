//go:build integration

package sink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

func TestNamesCollideOnMySQL(t *testing.T) { namesCollide(t, onMySQL) }

func TestNamesCollideByLoadData(t *testing.T) { namesCollide(t, onMySQLWithLoads) }

// TestUnlistedErrorsBecomeLetters: what generated columns, functional indexes and triggers answer to a row is found and
// told, whatever its number.
func TestUnlistedErrorsBecomeLetters(t *testing.T) {
	for name, c := range map[string]struct{ statement, good, bad string }{
		"1365, a generated column": {"ALTER TABLE things ADD g int AS (10 DIV id) STORED", "1", "0"},
		"3156, a generated column": {`ALTER TABLE things ADD g int AS (CAST(JSON_EXTRACT(CONCAT('[', id, ']'), '$[0]') AS SIGNED)) STORED`, "1", `"x"`},
		"3903, a multi-valued index": {
			`ALTER TABLE things ADD INDEX ((CAST(CAST(CONCAT('[', id, ']') AS JSON) AS UNSIGNED ARRAY)))`, "1", `"x"`,
		},
		"3751, a functional index": {"ALTER TABLE things ADD INDEX ((CAST(id AS CHAR(3))))", "abc", "abcd"},
		"3037, a geometry":         {"ALTER TABLE things ADD g geometry AS (ST_GeomFromText(id)) STORED", "POINT(1 1)", "POINT(1"},
		"1644, a trigger": {
			"CREATE TRIGGER few BEFORE INSERT ON things FOR EACH ROW BEGIN IF NEW.id = 'bad' THEN SIGNAL SQLSTATE '45000'; END IF; END", "good", "bad",
		},
		"30001, a trigger": {
			"CREATE TRIGGER few BEFORE INSERT ON things FOR EACH ROW BEGIN IF NEW.id = 'bad' THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30001; END IF; END",
			"good", "bad",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, onMySQL(t))
			r := w.start("one", nil)
			db := w.db()
			w.caughtUp(db, 2*time.Minute)
			run(t, db, c.statement)
			w.send(w.record(c.good, 1), w.record(c.bad, 1), w.record(c.good, 2))
			delete(w.want, c.bad)
			w.caughtUp(db, 2*time.Minute)
			if letters := w.letters(); len(letters) != 1 {
				t.Errorf("%d letters, want 1", len(letters))
			}
			r.ready(t)
		})
	}
}

// pair is a world with a second stream, whose table gets in the way.
type pair struct {
	*world
	db *sql.DB
	n  int
}

func newPair(t *testing.T, p *pipeline.Pipeline) *pair {
	t.Helper()
	w := newWorld(t, p)
	second := p.Streams[0]
	second.Name, second.Sink.Table = "other", "other"
	p.Streams = append(p.Streams, second)
	return &pair{world: w, db: w.db()}
}

// expect sends a record of each stream.
func (p *pair) expect() {
	p.t.Helper()
	p.n++
	r := p.record(fmt.Sprint("key-", p.n), p.n)
	twin := *r
	twin.Topic = topics.Processed("p", "other")
	p.send(r, &twin)
}

// written waits until a table has a row of each record.
func (p *pair) written(table string) {
	p.t.Helper()
	testkit.Eventually(p.t, 2*time.Minute, func() error {
		var got int
		if err := p.db.QueryRow("SELECT COUNT(*) FROM " + table).Scan(&got); err != nil {
			return err
		}
		if got != p.n {
			return fmt.Errorf("%d rows in %s, want %d", got, table, p.n)
		}
		return nil
	})
}

// more sends a record of each stream, and waits until the first's is written, and the other's too if it is to be.
func (p *pair) more(both bool) {
	p.t.Helper()
	p.expect()
	if p.written("things"); both {
		p.written("other")
	}
}

// endSessions kills all connections of a user.
func endSessions(t *testing.T, root *sql.DB, user string) {
	t.Helper()
	found, err := root.Query("SELECT processlist_id FROM performance_schema.threads WHERE processlist_user = ?", user)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var id uint64
		if err := found.Scan(&id); err != nil {
			t.Fatal(err)
		}
		_, _ = root.Exec(fmt.Sprintf("KILL %d", id)) // it may have ended by itself
	}
}

func run(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(context.WithoutCancel(t.Context()), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// TestOneTableWaitsWithoutTheOthers: the other table goes on, and the first too, once it is repaired, without a
// restart.
func TestOneTableWaitsWithoutTheOthers(t *testing.T) {
	for name, c := range map[string]struct{ spoil, repair, says string }{
		"gone":          {"RENAME TABLE other TO gone", "RENAME TABLE gone TO other", "stream other: table other: it is not there"},
		"a column lost": {"ALTER TABLE other DROP COLUMN n", "ALTER TABLE other ADD COLUMN n int", "no column n: ALTER TABLE `other` ADD COLUMN"},
		"a column more": {"ALTER TABLE other ADD COLUMN x int NOT NULL", "ALTER TABLE other DROP COLUMN x", "column x must have a value"},
		"a trigger that is broken": {
			"CREATE TRIGGER t BEFORE INSERT ON other FOR EACH ROW INSERT INTO nowhere VALUES (1)", "DROP TRIGGER t", "nowhere",
		},
	} {
		for way, open := range map[string]func(*testing.T) *pipeline.Pipeline{" by INSERT": onMySQL, " by LOAD DATA": onMySQLWithLoads} {
			t.Run(name+way, func(t *testing.T) {
				p := newPair(t, open(t))
				r := p.start("one", nil)
				r.ready(t)
				p.more(true)
				run(t, p.db, c.spoil)
				p.more(false)
				r.waits(t, c.says)
				p.more(false)
				run(t, p.db, c.repair)
				if name == "a column lost" { // what it held is gone, and no matter of ours
					run(t, p.db, "UPDATE other SET n = 1")
				}
				p.more(true)
				r.ready(t)
			})
		}
	}
}

// TestLockedTableWaitsAlone: another session locks a table for long.
func TestLockedTableWaitsAlone(t *testing.T) {
	p := newPair(t, onMySQL(t))
	r := p.start("one", nil)
	r.ready(t)
	p.more(true)
	conn, err := p.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, statement := range []string{"SET wait_timeout = 3600", "LOCK TABLES other WRITE"} {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	p.more(false)
	r.waits(t, "stream other: table other: ", "another session locks the table")
	p.more(false)
	if _, err := conn.ExecContext(t.Context(), "UNLOCK TABLES"); err != nil {
		t.Fatal(err)
	}
	p.more(true)
	r.ready(t)
}

// TestTooWideTableAtStart: MySQL does not create it. The other stream starts.
func TestTooWideTableAtStart(t *testing.T) {
	p := newPair(t, onMySQL(t))
	wide := &p.pipeline.Streams[1].Sink
	for i := range 250 {
		wide.Columns = append(wide.Columns, pipeline.ColumnType{Name: fmt.Sprint("f", i), Type: "varchar(40)"})
	}
	r := p.start("one", nil)
	p.more(false)
	r.waits(t, "stream other: table other: create it: Error 1118")
}

// TestRightGivenBack: MySQL looks at rights on a schema when a session begins, so a new one has to. The remedy is told.
func TestRightGivenBack(t *testing.T) {
	for name, c := range map[string]struct {
		right, says string
		but         []string // tables for which the right is granted again
	}{
		"to write":           {"INSERT", "INSERT command denied to user", nil},
		"to read":            {"SELECT", "SELECT command denied to user", nil},
		"to anything at all": {"ALL", "Error 1044 (42000): Access denied for user", nil},
		"to write to a table": {
			"INSERT", "stream other: table other: ", []string{"millrace_offsets", "millrace_marks", "millrace_owners", "millrace_tables", "things"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			admin := onMySQL(t)
			cfg, err := mysql.ParseDSN(admin.Database.MySQL.Reveal())
			if err != nil {
				t.Fatal(err)
			}
			root, err := sql.Open("mysql", cfg.FormatDSN())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = root.Close() })
			user := "app" + strings.ReplaceAll(cfg.DBName, "millrace", "")
			if len(user) > 32 {
				user = user[len(user)-32:]
			}
			on := func(what string) string { return " ON `" + cfg.DBName + "`." + what }
			run(t, root, "CREATE USER `"+user+"` IDENTIFIED BY 'secret'")
			t.Cleanup(func() { run(t, root, "DROP USER `"+user+"`") })
			grant := "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE" + on("*") + " TO `" + user + "`"
			run(t, root, grant)
			cfg.User, cfg.Passwd = user, "secret"
			admin.Database.MySQL = pipeline.Secret(cfg.FormatDSN())
			p := newPair(t, admin)
			p.db = root
			r := p.start("one", nil)
			r.ready(t)
			p.more(true)
			run(t, root, "REVOKE "+c.right+on("*")+" FROM `"+user+"`")
			for _, table := range c.but {
				run(t, root, "GRANT "+c.right+on(table)+" TO `"+user+"`")
			}
			endSessions(t, root, user)
			if p.expect(); c.but != nil {
				p.written("things")
			}
			r.waits(t, c.says, "grant the user")
			run(t, root, grant)
			p.more(true)
			r.ready(t)
		})
	}
}

// TestRightMissingAtStart: what is missing when the sink starts, and when it claims, is told, and is enough once it is
// there.
func TestRightMissingAtStart(t *testing.T) {
	admin := onMySQL(t)
	cfg, err := mysql.ParseDSN(admin.Database.MySQL.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	p := newPair(t, admin)
	run(t, p.db, "CREATE USER starts IDENTIFIED BY 'secret'")
	t.Cleanup(func() { run(t, p.db, "DROP USER starts") })
	cfg.User, cfg.Passwd = "starts", "secret"
	admin.Database.MySQL = pipeline.Secret(cfg.FormatDSN())
	on := " ON `" + cfg.DBName + "`.* TO starts"
	r := p.start("one", nil)
	r.waits(t, "MySQL: ", "Error 1044", "grant the user SELECT")
	run(t, p.db, "GRANT SELECT"+on)
	r.waits(t, "MySQL: ", "CREATE command denied", "grant the user SELECT")
	run(t, p.db, "GRANT SELECT, CREATE, DELETE"+on)
	r.waits(t, "stream s: ", "INSERT, UPDATE command denied", "grant the user SELECT")
	run(t, p.db, "GRANT SELECT, INSERT, CREATE, DELETE"+on)
	r.waits(t, "stream s: ", ": UPDATE command denied", "grant the user SELECT")
	update := func(tables ...string) {
		for _, table := range tables {
			run(t, p.db, "GRANT UPDATE ON `"+cfg.DBName+"`."+table+" TO starts")
		}
	}
	update("things", "other")
	r.waits(t, "stream s: ", "UPDATE command denied", "'millrace_tables'", "grant the user SELECT")
	update("millrace_tables")
	r.waits(t, "MySQL: claims: ", "UPDATE command denied", "'millrace_", "grant the user SELECT")
	run(t, p.db, "GRANT SELECT, INSERT, UPDATE, CREATE, DELETE"+on)
	p.more(true)
	r.ready(t)
}

// TestUnknownSetting: of a server that is no MySQL 8.0, or of the DSN; nothing else can be said of it.
func TestUnknownSetting(t *testing.T) {
	p := onMySQL(t)
	p.Database.MySQL = pipeline.Secret(p.Database.MySQL.Reveal() + "?no_such_setting=1")
	r := newWorld(t, p).start("one", nil)
	r.waits(t, "MySQL: ", "no_such_setting", "a parameter in database.mysql is wrong")
}

// TestTableMadeAgain: an empty table in the place of one that was written is not gone on with.
func TestTableMadeAgain(t *testing.T) {
	p := newPair(t, onMySQL(t))
	r := p.start("one", nil)
	r.ready(t)
	p.more(true)
	r.drain(t, 2*time.Minute)
	run(t, p.db, "CREATE TABLE backup LIKE other", "INSERT INTO backup SELECT * FROM other", "DROP TABLE other")
	r = p.start("two", nil)
	r.waits(t, "stream other: table other: it is not there, though records of p.other.processed were written to it", "restore it, together with")
	p.more(false)
	if _, err := p.db.Exec("SELECT 1 FROM other"); err == nil {
		t.Error("the table was made")
	}
	// a time has whole seconds
	run(t, p.db, "UPDATE millrace_tables SET made = '2001-01-01 00:00:00' WHERE name = 'other'")
	run(t, p.db, "CREATE TABLE other LIKE backup")
	r.waits(t, "stream other: table other: it is empty, and was made at")
	p.more(false)
	run(t, p.db, "INSERT INTO other SELECT * FROM backup")
	p.more(true)
	r.ready(t)
}

// TestTableMadeAgainWhileTheSinkRuns: without a record that meets it.
func TestTableMadeAgainWhileTheSinkRuns(t *testing.T) {
	p := newPair(t, onMySQL(t))
	r := p.start("one", nil)
	r.ready(t)
	p.more(true)
	var made string
	testkit.Eventually(t, 2*time.Minute, func() error { // a time has whole seconds
		if err := p.db.QueryRow("SELECT made FROM millrace_tables WHERE name = 'other' AND CAST(made AS DATETIME) < UTC_TIMESTAMP() - INTERVAL 1 SECOND").
			Scan(&made); err != nil {
			return errors.New("the table was made less than a second ago")
		}
		return nil
	})
	run(t, p.db, "CREATE TABLE another LIKE other", "RENAME TABLE other TO old, another TO other")
	r.waits(t, "stream other: table other: it is empty, and was made at")
	p.more(false)
}

// TestAlteredBeforeItHasRows: a table whose records were all refused is altered, so that it takes them.
func TestAlteredBeforeItHasRows(t *testing.T) {
	w := newWorld(t, onMySQL(t))
	r := w.start("one", nil)
	w.send(w.record("a", "refused"))
	testkit.Eventually(t, 2*time.Minute, testkit.That("a letter", func() bool { return len(w.letters()) == 1 }))
	db := w.db()
	w.caughtUp(db, 2*time.Minute)
	var before, after string
	const made = "SELECT create_time FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'things'"
	testkit.Eventually(t, 2*time.Minute, testkit.That("another time of creation", func() bool {
		if before == "" {
			_ = db.QueryRow(made).Scan(&before)
		}
		run(t, db, "ALTER TABLE things MODIFY n varchar(20), FORCE")
		_ = db.QueryRow(made).Scan(&after)
		return before != after
	}))
	r.drain(t, 2*time.Minute)
	r = w.start("two", nil)
	w.send(w.record("b", 1))
	w.caughtUp(db, 2*time.Minute)
	r.ready(t)
}

// TestReadOnlyServer: the server is named, with the reason, and gone on with.
func TestReadOnlyServer(t *testing.T) {
	admin := onMySQL(t)
	p := newPair(t, admin)
	cfg, err := mysql.ParseDSN(admin.Database.MySQL.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	user := "ro" + cfg.DBName[max(0, len(cfg.DBName)-20):]
	run(t, p.db, "CREATE USER `"+user+"` IDENTIFIED BY 'secret'", "GRANT ALL ON `"+cfg.DBName+"`.* TO `"+user+"`")
	t.Cleanup(func() { run(t, p.db, "SET GLOBAL read_only = 0", "DROP USER `"+user+"`") })
	cfg.User, cfg.Passwd = user, "secret"
	admin.Database.MySQL = pipeline.Secret(cfg.FormatDSN())
	r := p.start("one", nil)
	r.ready(t)
	p.more(true)
	run(t, p.db, "SET GLOBAL read_only = 1")
	p.send(p.record("key-0", 0))
	r.waits(t, "MySQL: ", "the server is read-only")
	run(t, p.db, "SET GLOBAL read_only = 0")
	r.ready(t)
	delete(p.want, "key-0")
}
