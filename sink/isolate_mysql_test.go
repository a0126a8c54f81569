//go:build integration

package sink

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/sink/rows"
)

// TestIsolationAsksTwice: an error that nobody listed, and that the server gives to a change once, refuses nothing.
func TestIsolationAsksTwice(t *testing.T) {
	f := newFixture(t, onMySQL(t), false)
	f.store.cfg.LoadRows = 10 // by INSERT
	run(t, f.store.db, `CREATE TRIGGER once BEFORE INSERT ON things FOR EACH ROW BEGIN
		IF @once IS NULL THEN SET @once = 1; SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30001; END IF; END`)
	b := newBatch(rows.NewDecoder(), f.job(event{0, 0, "a", row(1)}))
	if found, err := f.writer.isolate(t.Context(), b); found || err != nil {
		t.Errorf("found %t, %v; want nothing", found, err)
	}
	if _, err := f.writer.apply(t.Context(), b); err != nil {
		t.Error(err)
	}
	f.want(map[string]string{"a": "1"})
}

// TestDefectMetByIsolation: while the refused rows of one table are looked for, another meets what needs an operator.
// It waits alone.
func TestDefectMetByIsolation(t *testing.T) {
	p := newPair(t, onMySQL(t))
	r := p.start("one", func(c *Config) { c.Writers = 1 })
	r.ready(t)
	p.more(true)
	run(t, p.db,
		"CREATE TRIGGER t1 BEFORE DELETE ON things FOR EACH ROW SIGNAL SQLSTATE '45000'",
		"CREATE TRIGGER t2 BEFORE INSERT ON other FOR EACH ROW INSERT INTO nowhere VALUES (1)")
	upsert := *p.record("key-1", 7)
	upsert.Topic = "p.other.processed"
	p.send(p.record("key-1", nil), &upsert)
	r.waits(t, "stream other: table other: ", "nowhere")
	testkit.Eventually(t, 2*time.Minute, testkit.That("a letter", func() bool { return len(p.letters()) == 1 }))
	run(t, p.db, "DROP TRIGGER t2")
	r.ready(t)
	testkit.Eventually(t, 2*time.Minute, func() error {
		var n int
		return p.db.QueryRow("SELECT n FROM other WHERE n = 7").Scan(&n)
	})
}
