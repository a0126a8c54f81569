package tool

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/testkit"
)

// TestTopicsVerbs lists, tails and greps beside a running process.
func TestTopicsVerbs(t *testing.T) {
	url, _ := orders(t)
	path := pipelineFile(t, url)
	rewrite(t, path, "    sink:", "    process: [{map: {id: id, total: total / (total - 20) * (total - 20)}}]\n    sink:")
	launch(t, "millrace", "run", path, "--listen", "127.0.0.1:0")
	testkit.Eventually(t, patience, testkit.That("rows and a letter", func() bool {
		code, stdout, _ := invoke(t, "millrace", "dlq", "list", path)
		return code == 0 && strings.Contains(stdout, "open   1 ") && orderTotals(t, path) == "10,30"
	}))
	run := func(wantCode int, args ...string) string {
		t.Helper()
		code, stdout, stderr := invoke(t, "millrace", append([]string{"topics"}, args...)...)
		if code != wantCode {
			t.Errorf("%v: %d %s%s", args, code, stdout, stderr)
		}
		return stdout + stderr
	}
	has := func(text string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("lacks %q:\n%s", want, text)
			}
		}
	}
	var listed []listedTopic
	if err := json.Unmarshal([]byte(run(cli.ExitOK, "list", path, "--output", "json")), &listed); err != nil || len(listed) != 5 {
		t.Fatalf("%v %+v", err, listed)
	}
	if raw := listed[0]; raw.Topic != "shop.orders.raw" || raw.Offsets < 3 || raw.Lag["processor"] != 0 {
		t.Errorf("%+v", raw)
	}
	has(run(cli.ExitOK, "list", path), "shop.orders.processed", "sink 0", "for ever", "newest of each key")

	var one shownRecord
	text := run(cli.ExitOK, "tail", path, "orders", "processed", "--key", "1", "--from", "beginning", "--output", "json")
	if err := json.Unmarshal([]byte(text), &one); err != nil || one.Key != "1" {
		t.Fatalf("%v %s", err, text)
	}
	if v, _ := one.Headers["mr-version"].(map[string]any); v["generation"] != 1.0 {
		t.Errorf("%+v", one.Headers)
	}
	has(run(cli.ExitOK, "tail", path, "orders"), `{"id": 1, "total": 10}`, `"mr-page":"`)
	has(run(cli.ExitOK, "tail", path, "orders", "dlq", "--from", "1h"), `"mr-step":"process[0].map.total"`)
	if text := run(cli.ExitOK, "tail", path, "orders", "raw", "--filter", "total > 15 and id != 3", "--from", "beginning"); !strings.Contains(text, `"total": 20`) ||
		strings.Contains(text, `"total": 10`) || strings.Contains(text, `"total": 30`) {
		t.Errorf("by an expression:\n%s", text)
	}
	has(run(cli.ExitOK, "tail", path, "orders", "processed", "--filter", "total == 30"), `"total":30`)
	has(run(cli.ExitOK, "tail", path, "orders", "raw", "--filter", `total > "x"`), "3 records not shown, of which the filter cannot be told: ")
	has(run(cli.ExitUsage, "tail", path, "orders", "raw", "--filter", "total +"), "--filter: ")
	has(run(cli.ExitUsage, "tail", path, "orders", "raw", "--filter", "total + 1"), "a condition is true or false")
	if text := run(cli.ExitOK, "tail", path, "orders", "raw", "--from", "1000000"); text != "" {
		t.Errorf("from above the end: %s", text)
	}
	has(run(cli.ExitUsage, "tail", path, "orders", "cooked"), "want raw, processed or dlq")
	has(run(cli.ExitUsage, "tail", path, "orders", "--from", "yesterday"), "a duration back from now")

	has(run(cli.ExitOK, "grep", path, "orders", "1"), "id=1 total=10", "ROW NOW")
	has(run(cli.ExitOK, "grep", path, "orders", "2"), "refused at process[0].map.total", "none", "attempt 1, open")
	has(run(cli.ExitError, "grep", path, "orders", "4711"), `there is nothing of the key "4711"`)
	rewrite(t, path, "total: total / (total - 20) * (total - 20)", "total: total")
	if code, stdout, stderr := invoke(t, "millrace", "dlq", "retry", path, "orders", "--yes"); code != cli.ExitOK {
		t.Fatalf("%d %s%s", code, stdout, stderr)
	}
	var h history
	if err := json.Unmarshal([]byte(run(cli.ExitOK, "grep", path, "orders", "2", "--output", "json")), &h); err != nil {
		t.Fatal(err)
	}
	if len(h.Raw) != 1 || len(h.Row) != 2 || *h.Row[1].Value != "20" || len(h.Letters) != 1 || h.Letters[0].State != "retried" {
		t.Errorf("%+v", h)
	}
	rewrite(t, path, "total: total}", "total: total / (total - total)}") // refuses all, but the row is there
	has(run(cli.ExitOK, "grep", path, "orders", "2"), "refused at", "id=2 total=20")
}
