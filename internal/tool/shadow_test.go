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

// TestReplayShadow builds a table with another key and other columns beside a process that runs, which is started with the new file then;
// and once more where nothing runs.
func TestReplayShadow(t *testing.T) {
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
	p.command(1, "line 2 is being built beside the live one", "replay", "orders", "--yes")
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
	for _, want := range []string{`"stream": "orders"`, `"state": "building"`, `"built_at": "`, `"table": "orders__g2"`} {
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
