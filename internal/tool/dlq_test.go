package tool

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
	divide := strings.Replace(string(content), "    sink:", "    process: [{map: {id: id, half: total / 2}}, {map: {id: id, total: half / (half - 10)}}]\n    sink:", 1)
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
		if code != 0 || !strings.Contains(stdout, "orders  processor  process[1].map.total  open   1 ") {
			t.Errorf("%s: %d %s%s", when, code, stdout, stderr)
		}
	}
	testkit.Eventually(t, patience, testkit.That("ready, and degraded with the count", func() bool {
		_, body := get(t, address+"/readyz")
		return strings.Contains(body, `"ready":true`) && strings.Contains(body, "1 record refused, in shop.orders.dlq")
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
		Steps                 []struct {
			Step  string
			Value map[string]int
		}
	}
	if err := json.Unmarshal([]byte(stdout), &shown); code != 0 || err != nil {
		t.Fatalf("show: %d %v %s%s", code, err, stdout, stderr)
	}
	if shown.Key != "2" || shown.Value["total"] != 20 || shown.Step != "process[1].map.total" || !strings.HasPrefix(shown.ID, "processor:shop.orders.raw:0:") {
		t.Errorf("show: %+v", shown)
	}
	if len(shown.Steps) != 1 || shown.Steps[0].Step != "process[0].map" || shown.Steps[0].Value["half"] != 10 {
		t.Errorf("after each step: %+v", shown.Steps)
	}
	if code, stdout, _ := invoke(t, "millrace", "dlq", "show", path, "orders", "--key", "1"); code != 0 || stdout != "" {
		t.Errorf("a key without a letter: %d %s", code, stdout)
	}
	if code, stdout, _ := invoke(t, "millrace", "dlq", "list", path, "--output", "json"); code != 0 || !strings.Contains(stdout, `"count": 1`) {
		t.Errorf("as json: %d %s", code, stdout)
	}
}

// TestDLQRetryAndDiscard retries letters beside the process that made them, and alone, and discards one.
func TestDLQRetryAndDiscard(t *testing.T) {
	t.Parallel()
	url, _ := orders(t)
	path := pipelineFile(t, url)
	rewrite(t, path, "    sink:", "    process: [{map: {id: id, total: total / (total - 20) * (total - 20) / (total - 30) * (total - 30)}}]\n    sink:")
	p := launch(t, "millrace", "run", path, "--listen", "127.0.0.1:0")
	say := func(want string, wantCode int, args ...string) {
		t.Helper()
		code, stdout, stderr := invoke(t, "millrace", append([]string{"dlq", args[0], path, "orders"}, args[1:]...)...)
		if code != wantCode || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%v: %d %s%s, want %d %q", args, code, stdout, stderr, wantCode, want)
		}
	}
	testkit.Eventually(t, patience, testkit.That("a row, and letters", func() bool {
		code, stdout, _ := invoke(t, "millrace", "dlq", "list", path)
		return code == 0 && strings.Contains(stdout, "open   2 ") && orderTotals(t, path) == "10"
	}))
	say("--yes answers", cli.ExitError, "retry")
	say("2 letters, would be: 0 retried, 2 refused again", cli.ExitOK, "retry", "--dry-run")
	say("1 letter refused again", cli.ExitError, "retry", "--yes", "--key", "3")
	rewrite(t, path, "(total - 20) * (total - 20)", "1 * 1")
	say("2 letters, would be: 1 retried, 1 refused again", cli.ExitOK, "retry", "--dry-run")
	say("orders: 1 letter: 1 retried", cli.ExitOK, "retry", "--yes", "--key", "2")
	if got := orderTotals(t, path); got != "10,20" {
		t.Errorf("after a retry beside the process: %s", got)
	}
	say(`"attempt":2`, cli.ExitOK, "show")
	say("no such letter is open", cli.ExitOK, "retry", "--yes", "--step", "sink.orders")
	say("it is kept", cli.ExitUsage, "discard", "--key", "3")
	say("say which letters", cli.ExitUsage, "discard", "--reason", "a test")
	say("want table or json", cli.ExitUsage, "discard", "--reason", "a test", "--all", "--output", "yaml")
	p.send(t, syscall.SIGTERM)
	p.exit(t)
	for attempt := 2; attempt < 5; attempt++ {
		say("1 letter refused again", cli.ExitError, "retry", "--yes")
	}
	say("1 refused 5 times already, and stay open", cli.ExitOK, "retry", "--yes")
	rewrite(t, path, "(total - 30) * (total - 30)", "1 * 1")
	say(`"retried": 1`, cli.ExitOK, "retry", "--dry-run", "--force", "--output", "json")
	say("orders: 1 letter discarded", cli.ExitOK, "discard", "--key", "3", "--reason", "a test order", "--yes")
	say("no letter is open", cli.ExitOK, "list")
	say(`"why":"a test order"`, cli.ExitOK, "show", "--all", "--key", "3")
	say("retried    1 ", cli.ExitOK, "list", "--all")
	say("no such letter is open", cli.ExitOK, "retry", "--yes", "--force")
	if got := orderTotals(t, path); got != "10,20" {
		t.Errorf("at the end: %s", got)
	}
}
