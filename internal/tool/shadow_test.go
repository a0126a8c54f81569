package tool

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/testkit"
)

// numbers are the order numbers in the table of a line, in their order.
func numbers(ctx context.Context, path, table string) (all string) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(filepath.Dir(path), "data", "millrace.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return err.Error()
	}
	defer func() { _ = db.Close() }()
	query := "SELECT COALESCE(group_concat(order_no || ':' || vat), '') FROM (SELECT * FROM " + table + " ORDER BY order_no)"
	if err := db.QueryRowContext(ctx, query).Scan(&all); err != nil {
		return err.Error()
	}
	return all
}

// TestReplayShadow builds a table with another key and other columns beside a process that runs, which is started with
// the new file then; and once more where nothing runs.
func TestReplayShadow(t *testing.T) {
	t.Parallel()
	api := newWarehouse(t, 3)
	path := pipelineFile(t, api.URL)
	p := &patient{t: t, api: api, path: path}
	p.start()
	awaitTable(t, path, api.shows())
	p.command(1, "the live one already", "replay", "orders", "--shadow", "--yes")
	rewrite(t, path, "    sink: {table: orders, columns: {id: bigint key, total: bigint}}",
		`    process: [{map: {order_no: '"A-" + string(id)', vat: total / 10}}]
    sink: {table: orders, columns: {order_no: varchar(20) key, vat: bigint}}`)
	p.command(2, "--from does not go with --shadow", "replay", "orders", "--shadow", "--yes", "--from", "1h")
	p.command(1, "--yes answers", "replay", "orders", "--shadow")
	p.command(0, "orders: line 2 is built: the table orders__g2 has all that is in the raw topic", "replay", "orders", "--shadow", "--yes", "--rate", "1000")
	if got := numbers(t.Context(), path, "orders__g2"); got != "A-0:0,A-1:1,A-2:2" {
		t.Errorf("built: %s", got)
	}
	p.command(1, "the file has the logic of line 2 (building), and line 1 is live", "replay", "orders", "--yes")
	both := func(ids []int, want string) {
		t.Helper()
		awaitTable(t, path, ids)
		testkit.Eventually(t, patience, func() error {
			if got := numbers(t.Context(), path, "orders__g2"); got != want {
				return fmt.Errorf("line 2 has %s, want %s", got, want)
			}
			return nil
		})
	}
	p.add(3)
	both(api.shows(), "A-0:0,A-1:1,A-2:2,A-3:3")
	if _, metrics := get(t, p.run.address(t)+"/metrics"); !strings.Contains(metrics, `millrace_processor_records_total{line="shop.g2.orders",stream="orders"}`) {
		t.Error("no metrics of the line")
	}
	p.stop()
	p.start() // with the new file
	p.add(4)
	both(api.shows(), "A-0:0,A-1:1,A-2:2,A-3:3,A-4:4")
	_, stdout, _ := invoke(t, "millrace", "replay", "status", path, "orders", "--output", "json")
	for _, want := range []string{`"stream": "orders"`, `"state": "built"`, `"built_at": "`, `"table": "orders__g2"`} {
		if !strings.Contains(stdout, want) {
			t.Errorf("status lacks %s: %s", want, stdout)
		}
	}
	_, stdout, _ = invoke(t, "millrace", "status", path)
	if !strings.Contains(stdout, "line 2 built since") {
		t.Errorf("status: %s", stdout)
	}
	if stderr := p.run.stderr.String(); !strings.Contains(stderr, "the file has the logic of line 2, which is built beside the live one") {
		t.Error("the process does not tell whose logic its file has")
	}
	p.stop()
}

// TestReplayShadowAlone: where nothing runs the command runs what it needs.
func TestReplayShadowAlone(t *testing.T) {
	api := newWarehouse(t, 3)
	path := pipelineFile(t, api.URL)
	p := launch(t, "millrace", "run", path, "--listen", "127.0.0.1:0")
	awaitTable(t, path, api.shows())
	p.send(t, syscall.SIGTERM)
	p.exit(t)
	rewrite(t, path, "total: bigint", "total: bigint not null")
	code, stdout, stderr := invoke(t, "millrace", "replay", path, "orders", "--shadow", "--yes")
	if code != cli.ExitOK || !strings.Contains(stdout, "line 2 is built") || strings.Contains(stderr, "another process") {
		t.Fatalf("%d %s%s", code, stdout, stderr)
	}
	if n := rowsOf(t, filepath.Join(filepath.Dir(path), "data", "millrace.db"), "orders__g2"); n != 3 {
		t.Errorf("%d rows", n)
	}
}

// TestCommandsActOnTheLiveLine: once another line is live, what is asked of a stream is asked of that line.
func TestCommandsActOnTheLiveLine(t *testing.T) {
	t.Parallel()
	api := newWarehouse(t, 3)
	path := pipelineFile(t, api.URL)
	p := &patient{t: t, api: api, path: path}
	p.start()
	awaitTable(t, path, api.shows())
	run := func(code int, want, command string) {
		t.Helper()
		got, stdout, stderr := invoke(t, "millrace", strings.Fields(strings.ReplaceAll(command, "FILE", path))...)
		if got != code || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%s: %d, want %d and %q\n%s%s", command, got, code, want, stdout, stderr)
		}
	}
	const was = "    sink: {table: orders, columns: {id: bigint key, total: bigint}}"
	rewrite(t, path, was, `    process: [{map: {order_no: '"A-" + string(id)', vat: total / 10}}]
    sink: {table: orders, columns: {order_no: varchar(20) key, vat: bigint}}`)
	run(0, "line 2 is built", "replay FILE orders --shadow --yes")
	run(0, "line 2 is live", "replay swap FILE orders --yes")
	live := func(want string) {
		t.Helper()
		testkit.Eventually(t, patience, func() error {
			if got := numbers(t.Context(), path, "orders"); got != want {
				return fmt.Errorf("the table has %s, want %s", got, want)
			}
			return nil
		})
	}
	live("A-0:0,A-1:1,A-2:2")
	p.add(3)
	live("A-0:0,A-1:1,A-2:2,A-3:3")
	p.stop()
	p.start() // with the file of the line that is live
	p.add(4)
	live("A-0:0,A-1:1,A-2:2,A-3:3,A-4:4")

	rewrite(t, path, "total / 10", "total % (total - 40) * 0 + total")
	run(0, "vat: 3, would be 30", "replay FILE orders --dry-run")
	run(0, "orders: all is processed again, and in the table", "replay FILE orders --yes")
	live("A-0:0,A-1:10,A-2:20,A-3:30,A-4:4") // that of 4 is refused
	run(0, "orders  processor  process[0].map.vat  open   1", "dlq list FILE")
	run(0, "line 1 old; line 2 live", "status FILE")
	run(0, "shop.g2.orders.orders.processed", "topics list FILE")
	run(0, "A-3", "topics tail FILE orders processed")
	run(0, "ROW NOW", "topics grep FILE orders 3")
	run(0, "orders, line 2: the positions are in order", "recover FILE")
	run(0, "orders paused: sink of line 2, sink", "pause FILE orders --stage sink")
	p.told("millrace resume")
	p.add(5)
	run(0, "orders resumed: sink of line 2, sink", "resume FILE orders --stage sink")
	live("A-0:0,A-1:10,A-2:20,A-3:30,A-4:4,A-5:50")

	run(0, "line 1 is live", "replay rollback FILE orders --yes")
	awaitTable(t, path, api.shows())
	run(1, "the file has the logic of line 2 (old), and line 1 is live: `millrace replay swap "+path+" orders`", "replay FILE orders --yes")
	p.stop()
	p.start() // with the logic that line 2 was given while it was live
	p.add(6)
	awaitTable(t, path, api.shows())
	p.stop()
}

// TestReplayShadowKilled kills the command and the process that has the servers while a line is filled. Both go on
// where it was, the process with the new file, and the line's table lacks nothing.
func TestReplayShadowKilled(t *testing.T) {
	t.Parallel()
	const orders = 400
	api := newWarehouse(t, orders)
	path := pipelineFile(t, api.URL)
	p := &patient{t: t, api: api, path: path}
	p.start()
	awaitTable(t, path, api.shows())
	rewrite(t, path, "    sink: {table: orders, columns: {id: bigint key, total: bigint}}",
		`    process: [{map: {order_no: '"A-" + string(id)', vat: total / 10}}]
    sink: {table: orders, columns: {order_no: varchar(20) key, vat: bigint}}`)
	filled := func(least int) {
		t.Helper()
		testkit.Eventually(t, patience, func() error {
			if n := strings.Count(numbers(t.Context(), path, "orders__g2"), "A-"); n < least {
				return fmt.Errorf("line 2 has %d rows, want %d", n, least)
			}
			return nil
		})
	}
	for round := range 2 {
		command := launch(t, "millrace", "replay", path, "orders", "--shadow", "--yes", "--rate", "50")
		filled(1 + 30*round)
		for _, c := range []*child{command, p.run} {
			c.send(t, syscall.SIGKILL)
			c.exit(t)
		}
		p.start()
	}
	p.command(0, "orders: line 2 is built", "replay", "orders", "--shadow", "--yes", "--rate", "0")
	filled(orders)
	if n := rowsOf(t, filepath.Join(filepath.Dir(path), "data", "millrace.db"), "orders__g2"); n != orders {
		t.Errorf("%d rows, want %d", n, orders)
	}
	awaitTable(t, path, api.shows())
	p.stop()
}
