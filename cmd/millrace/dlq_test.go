package main

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/testkit"
)

// TestDLQ reads the letters of a pipeline beside its running process, and after it has ended.
func TestDLQ(t *testing.T) {
	url, _ := orders(t)
	path := pipelineFile(t, url)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	divide := strings.Replace(string(content), "    sink:", "    process: [{map: {id: id, total: total / (total - 20)}}]\n    sink:", 1)
	if err := os.WriteFile(path, []byte(divide), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := invoke(t, "millrace", "dlq", "list", path); code != cli.ExitError || !strings.Contains(stderr, "has not run yet") {
		t.Errorf("before the first run: %d %s", code, stderr)
	}
	p := launch(t, "millrace", "run", path, "--listen", "127.0.0.1:0")
	address := p.address(t)
	testkit.Eventually(t, patience, testkit.That("a letter", func() bool {
		_, metrics := get(t, address+"/metrics")
		return strings.Contains(metrics, `millrace_processor_dead_letters_total{stream="orders"} 1`)
	}))
	check := func(when string) {
		code, stdout, stderr := invoke(t, "millrace", "dlq", "list", path)
		if code != 0 || !strings.Contains(stdout, "orders  processor  process[0].map.total  1 ") {
			t.Errorf("%s: %d %s%s", when, code, stdout, stderr)
		}
	}
	testkit.Eventually(t, patience, testkit.That("ready, and degraded with the count", func() bool {
		_, body := get(t, address+"/readyz")
		return strings.Contains(body, `"ready":true`) && strings.Contains(body, "1 records refused, in shop.orders.dlq")
	}))
	if want := "millrace dlq list " + path + " orders"; !strings.Contains(p.stderr.String(), want) {
		t.Errorf("the log lacks %q", want)
	}
	check("beside the process")
	if code, _, stderr := invoke(t, "millrace", "dlq", "list", path, "parcels"); code != cli.ExitUsage || !strings.Contains(stderr, `no stream "parcels"`) {
		t.Errorf("no such stream: %d %s", code, stderr)
	}
	p.send(t, syscall.SIGTERM)
	p.exit(t)
	check("after its end")

	code, stdout, stderr := invoke(t, "millrace", "dlq", "show", path, "orders", "--key", "2")
	var shown struct {
		Step, Reason, Key, ID string
		Value                 map[string]int
	}
	if err := json.Unmarshal([]byte(stdout), &shown); code != 0 || err != nil {
		t.Fatalf("show: %d %v %s%s", code, err, stdout, stderr)
	}
	if shown.Key != "2" || shown.Value["total"] != 20 || shown.Step != "process[0].map.total" || !strings.HasPrefix(shown.ID, "processor:shop.orders.raw:0:") {
		t.Errorf("show: %+v", shown)
	}
	if code, stdout, _ := invoke(t, "millrace", "dlq", "show", path, "orders", "--key", "1"); code != 0 || stdout != "" {
		t.Errorf("a key without a letter: %d %s", code, stdout)
	}
	if code, stdout, _ := invoke(t, "millrace", "dlq", "list", path, "--output", "json"); code != 0 || !strings.Contains(stdout, `"count": 1`) {
		t.Errorf("as json: %d %s", code, stdout)
	}
}
