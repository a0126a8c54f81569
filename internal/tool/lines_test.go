package tool

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/testkit"
)

// TestWhatWorksAfterASwap: with another line live, and the first one dropped, a run that is started with the new file
// goes on, a replay in place acts on the live line, and --once ends when that one has all.
func TestWhatWorksAfterASwap(t *testing.T) {
	t.Parallel()
	p := newPatient(t, 5)
	rewrite(t, p.path, "sink: {table: orders, columns: {id: bigint key, total: bigint}}",
		"process: [{map: {id: id, total: total + 1}}]\n    sink: {table: orders, columns: {id: bigint key, total: bigint}}")
	run := func(code int, want string, args ...string) {
		t.Helper()
		got, stdout, stderr := invoke(t, "millrace", args...)
		if got != code || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%v: %d, want %d and %q\n%s%s", args, got, code, want, stdout, stderr)
		}
	}
	run(cli.ExitError, "there is no line beside the live one", "replay", "swap", p.path, "orders", "--yes")
	run(cli.ExitError, "there is no line to drop", "replay", "drop", p.path, "orders", "--yes")
	run(cli.ExitOK, "line 2 is built", "replay", p.path, "orders", "--shadow", "--yes", "--log-level", "warn")
	run(cli.ExitError, "total", "replay", "diff", p.path, "orders")
	run(cli.ExitError, "--yes answers", "replay", "swap", p.path, "orders")
	run(cli.ExitUsage, "--line", "replay", "swap", p.path, "orders", "--line", "-1")
	run(cli.ExitOK, "line 2 is live", "replay", "swap", p.path, "orders", "--yes")
	run(cli.ExitOK, "line 1 is dropped", "replay", "drop", p.path, "orders", "--yes")
	run(cli.ExitOK, "orders paused: processor of line 2, sink of line 2, ingest", "pause", p.path, "orders")
	run(cli.ExitOK, "ingest paused since", "status", p.path)
	run(cli.ExitOK, "sink paused since", "status", p.path)
	run(cli.ExitOK, "orders resumed: processor of line 2, sink of line 2, ingest", "resume", p.path, "orders")
	run(cli.ExitOK, "line 2 live", "status", p.path)
	// the processors of line 2 have passed them
	run(cli.ExitOK, "the raw records from before the reset are deleted", "reset", p.path, "orders", "--all", "--yes")
	run(cli.ExitOK, "all is processed again", "replay", p.path, "orders", "--yes", "--log-level", "warn")
	run(cli.ExitOK, "no letter is open", "dlq", "list", p.path)
	p.api.alsoShow(`, {"total": 1}`) // which ingest refuses, whose letters are in the topic of the first line
	testkit.Eventually(t, patience, testkit.That("a letter of ingest", func() bool {
		_, stdout, _ := invoke(t, "millrace", "dlq", "list", p.path)
		return strings.Contains(stdout, "orders  ingest  ingest.key  open ")
	}))
	p.api.alsoShow("")
	run(cli.ExitOK, "discarded", "dlq", "discard", p.path, "orders", "--step", "ingest.key", "--reason", "a test", "--yes")
	run(cli.ExitOK, "ingest.key  discarded", "dlq", "list", p.path, "--all")
	p.stop()
	p.add(6)
	run(cli.ExitOK, "one pass of every stream is in the tables", "run", p.path, "--once", "--listen", "")
	if _, stdout, _ := invoke(t, "millrace", "topics", "list", p.path); !regexp.MustCompile(`(?m)^shop\.orders\.raw .* processor 0$`).MatchString(stdout) {
		t.Errorf("the processors of the live line have done all:\n%s", stdout)
	}
	db, err := sql.Open("sqlite", filepath.Join(filepath.Dir(p.path), "data", "millrace.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var n, odd int
	if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*), SUM(total % 10 = 1) FROM orders").Scan(&n, &odd); err != nil || n != 6 || odd != 6 {
		t.Errorf("%d rows, %d by the new logic, %v", n, odd, fmt.Sprint(err))
	}
}
