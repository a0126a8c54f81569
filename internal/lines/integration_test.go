//go:build integration

package lines_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/internal/testworld"
)

// onServers has Kafka and MySQL.
func onServers(t *testing.T, partitions int32) *world {
	t.Helper()
	return &world{testworld.OnServers(t, before, partitions)}
}

// TestShadowOnServers: on Kafka and MySQL, with records coming all the time. The new table has what somebody has added
// to the live one, and lacks what the new logic does not make; its rows are those of a fresh run, and the live ones
// stay what they are.
func TestShadowOnServers(t *testing.T) {
	w := onServers(t, 3)
	exec := func(statement string) {
		t.Helper()
		if _, err := w.DB.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	stop, _ := w.Process(before, "live")
	w.Write(testworld.Some(0, 2000)...)
	w.Becomes("t", logicBefore)
	exec("ALTER TABLE t MODIFY n DECIMAL(30,0) NULL, ADD COLUMN seen TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP COMMENT 'when, `n`', " +
		"ADD INDEX by_n (n DESC), ADD INDEX by_id (id, n), ADD INDEX half ((n DIV 2)), ADD CONSTRAINT positive CHECK (n > -1)")
	still := w.Traffic(2000)
	run := w.build(w.builder(after, "builder"), true)
	stop()
	_, _ = w.Process(after, "live")
	w.built(run)
	still()
	w.Becomes("t", logicBefore)
	w.Becomes("t__g2", logicAfter)

	var name, is string
	if err := w.DB.QueryRowContext(t.Context(), "SHOW CREATE TABLE t__g2").Scan(&name, &is); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"`n` decimal(30,0)", "`seen` timestamp", "`code` varchar(40)", "`status` text", "PRIMARY KEY (`code`)", "KEY `by_n` (`n` DESC)", "KEY `half`", "CHECK",
	} {
		if !strings.Contains(is, want) {
			t.Errorf("the line's table lacks %s", want)
		}
	}
	if at := strings.Index(is, "\n  `_mr_version`"); at < 0 || strings.Index(is, "\n  `code`") > at || strings.Index(is, "\n  `status`") > at {
		t.Error("columns of the file come after _mr_version")
	}
	for _, not := range []string{"`id`", "by_id"} {
		if strings.Contains(is, not) {
			t.Errorf("the line's table has %s", not)
		}
	}
	if t.Failed() {
		t.Log(is)
	}
	w.Write(testworld.Some(0, 300)...)
	w.Becomes("t", logicBefore)
	w.Becomes("t__g2", logicAfter)
}

// TestShadowWithoutItsCommand: the command that builds a line dies before it adds the indexes. Stages go on with the
// line, which is not built, and has no index; the command, run again, adds them, and it is.
func TestShadowWithoutItsCommand(t *testing.T) {
	w := onServers(t, 3)
	_, _ = w.Process(before, "live")
	w.Write(testworld.Some(0, 500)...)
	w.Becomes("t", logicBefore)
	if _, err := w.DB.ExecContext(t.Context(), "ALTER TABLE t ADD INDEX by_n (n)"); err != nil {
		t.Fatal(err)
	}
	b := w.builder(after, "builder")
	plan, err := b.Begin(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, die := context.WithTimeout(t.Context(), testworld.Patience)
	defer die()
	working := work(true)
	working.Told = func(lines.Progress) { die() } // it would add the indexes next
	if err := b.Run(ctx, plan.Number, working); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want that it was canceled", err)
	}
	w.Write(testworld.Some(500, 200)...)
	w.Becomes("t__g2", logicAfter)
	indexed := func() bool {
		t.Helper()
		var name, is string
		if err := w.DB.QueryRowContext(t.Context(), "SHOW CREATE TABLE t__g2").Scan(&name, &is); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(is, "KEY `by_n` (`n`)")
	}
	if l := w.Decided().Line(2); !l.BuiltAt.IsZero() || indexed() {
		t.Errorf("indexes are there: %t, and the line is %+v", indexed(), l)
	}
	w.built(w.build(w.builder(after, "again"), true))
	if !indexed() {
		t.Error("the line is built, and has no index")
	}
	w.Becomes("t__g2", logicAfter)
	w.Becomes("t", logicBefore)
}
