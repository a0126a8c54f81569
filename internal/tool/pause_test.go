package tool

import (
	"encoding/json"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/testkit"
)

// TestPauseAndResume beside a running process, and after it has ended: the pause outlives it.
func TestPauseAndResume(t *testing.T) {
	url, requests := orders(t)
	path := pipelineFile(t, url)
	if code, _, stderr := invoke(t, "millrace", "pause", path, "orders"); code != cli.ExitError || !strings.Contains(stderr, "has not run yet") {
		t.Errorf("before the first run: %d %s", code, stderr)
	}
	p := launch(t, "millrace", "run", path, "--listen", "127.0.0.1:0")
	address := p.address(t)
	testkit.Eventually(t, patience, testkit.That("rows", func() bool {
		_, metrics := get(t, address+"/metrics")
		return strings.Contains(metrics, `millrace_sink_rows_total{stream="orders"} 3`)
	}))
	run := func(want string, args ...string) {
		t.Helper()
		if code, stdout, stderr := invoke(t, "millrace", args...); code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("%v: %d %s%s", args, code, stdout, stderr)
		}
	}
	run("orders paused: ingest\n", "pause", path, "orders", "--stage", "ingest", "--reason", "ids migrate")
	run("orders nothing to do", "pause", path, "orders", "--stage", "ingest")
	run(": ids migrate", "status", path)
	testkit.Eventually(t, patience, testkit.That("ready, and the pause told", func() bool {
		code, body := get(t, address+"/readyz")
		_, metrics := get(t, address+"/metrics")
		return code == http.StatusOK && strings.Contains(body, "ids migrate; `millrace resume "+path+" orders`") &&
			strings.Contains(metrics, `millrace_ingest_notices{kind="paused",stream="orders"} 1`)
	}))
	p.send(t, syscall.SIGTERM)
	p.exit(t)
	before := requests.Load()
	p = launch(t, "millrace", "run", path, "--listen", "127.0.0.1:0")
	address = p.address(t)
	testkit.Eventually(t, patience, testkit.That("the pause told by the next process", func() bool {
		_, body := get(t, address+"/readyz")
		return strings.Contains(body, "ids migrate")
	}))
	if n := requests.Load(); n != before {
		t.Errorf("%d requests while paused", n-before)
	}
	run("orders resumed: ingest\n", "resume", path, "orders")
	run("orders nothing to do", "resume", path, "orders")
	testkit.Eventually(t, patience, testkit.That("requests", func() bool { return requests.Load() > before }))

	code, stdout, _ := invoke(t, "millrace", "status", path, "orders", "--output", "json")
	var all []streamStatus
	if err := json.Unmarshal([]byte(stdout), &all); code != 0 || err != nil || len(all) != 1 || all[0].Stream != "orders" || len(all[0].Paused) != 0 {
		t.Errorf("%d %v %s", code, err, stdout)
	}
	if code, _, stderr := invoke(t, "millrace", "pause", path, "orders", "--stage", "door"); code != cli.ExitUsage || !strings.Contains(stderr, "--stage") {
		t.Errorf("%d %s", code, stderr)
	}
}
