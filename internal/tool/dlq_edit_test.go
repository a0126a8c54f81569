package tool

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/testkit"
)

// refusals is a pipeline that runs, of which orders 2, 3 and 4 are refused.
type refusals struct {
	t     *testing.T
	path  string
	total atomic.Int64 // of order 4
}

func newRefusals(t *testing.T) *refusals {
	t.Helper()
	r := &refusals{t: t}
	r.total.Store(40)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `[{"id":1,"total":10},{"id":2,"total":20},{"id":3,"total":30},{"id":4,"total":%d}]`, r.total.Load())
	}))
	t.Cleanup(api.Close)
	r.path = pipelineFile(t, api.URL)
	rewrite(t, r.path, "    sink:", "    process: [{map: {id: id, total: total + 0 / (total - 20) + 0 / (total - 30) + 0 / (total - 40)}}]\n    sink:")
	launch(t, "millrace", "run", r.path, "--listen", "127.0.0.1:0")
	testkit.Eventually(t, patience, testkit.That("a row, and letters", func() bool {
		code, stdout, _ := invoke(t, "millrace", "dlq", "list", r.path)
		return code == 0 && strings.Contains(stdout, "open   3 ") && orderTotals(t, r.path) == "10"
	}))
	return r
}

// say runs a command of `dlq`, which must exit so and say so. It returns its standard output.
func (r *refusals) say(want string, wantCode int, args ...string) string {
	r.t.Helper()
	code, stdout, stderr := invoke(r.t, "millrace", append([]string{"dlq", args[0], r.path, "orders"}, args[1:]...)...)
	if code != wantCode || !strings.Contains(stdout+stderr, want) {
		r.t.Errorf("%v: %d %s%s, want %d %q", args, code, stdout, stderr, wantCode, want)
	}
	return stdout
}

func (r *refusals) rows(want string) {
	r.t.Helper()
	testkit.Eventually(r.t, patience, func() error {
		if is := orderTotals(r.t, r.path); is != want {
			return fmt.Errorf("the totals are %s, want %s", is, want)
		}
		return nil
	})
}

// TestDLQRetryEdit edits records with an editor that makes mistakes first.
func TestDLQRetryEdit(t *testing.T) {
	r := newRefusals(t)
	editor := func(script string) {
		name := filepath.Join(t.TempDir(), "edit.sh")
		if err := os.WriteFile(name, []byte("#!/bin/sh\nset -e\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("VISUAL", name)
	}
	editor("true")
	r.say("0 letters edited, 3 unchanged, and stay open", cli.ExitOK, "retry", "--edit", "--yes")
	editor("exit 3")
	r.say("nothing was done", cli.ExitError, "retry", "--edit", "--yes")
	editor(`sed -i 's/"total": 20/"total": 25,/' "$1"`) // no JSON, and given back so
	r.say("nothing was done: key 2: it is no JSON", cli.ExitError, "retry", "--edit", "--yes", "--key", "2")
	seen := filepath.Join(t.TempDir(), "seen")
	editor(`cat "$1" >> ` + seen + `
if grep -q "it is no JSON" "$1"; then sed -i 's/"total": 25,/"total": 30/' "$1"
elif grep -q "division by zero" "$1" && grep -q "^# error: key 2: it is refused" "$1"; then sed -i 's/"id": 2/"id": 7/' "$1"
elif grep -q "the key of a record stays" "$1"; then sed -i 's/"id": 7/"id": 2/; s/"total": 30/"total": 25/' "$1"
else sed -i 's/"total": 20/"total": 25,/' "$1"; fi`)
	r.say("1 letter would be edited", cli.ExitOK, "retry", "--edit", "--dry-run", "--key", "2")
	r.say("--yes answers", cli.ExitError, "retry", "--edit", "--key", "2")
	r.say("orders: 1 letter edited", cli.ExitOK, "retry", "--edit", "--yes", "--key", "2")
	r.rows("10,25")
	r.say(`"state":"edited"`, cli.ExitOK, "show", "--all", "--key", "2")
	text, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# key 2, refused at process[0].map.total, attempt 1:", "{\n  \"id\": 2,\n  \"total\": 20\n}", "# error: key 2: its key is \"7\""} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the editor was not given %q:\n%s", want, text)
		}
	}
}

// TestDLQExportAndImport edits an export, imports it, again and again, and what is wrong with it is named. A letter of
// which there is a newer record brings nothing back.
func TestDLQExportAndImport(t *testing.T) {
	r := newRefusals(t)
	exported := r.say(`"headers":{`, cli.ExitOK, "export")
	lines := strings.Split(strings.TrimSpace(exported), "\n")
	var first struct {
		ID       string
		Position struct{ Offset *int64 }
		Headers  map[string]any
	}
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || len(lines) != 3 || first.Position.Offset == nil || first.Headers["mr-page"] == nil {
		t.Fatalf("%v %s", err, exported)
	}
	name := filepath.Join(t.TempDir(), "edited.ndjson")
	write := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(exported)
	r.say("0 letters edited, 3 unchanged", cli.ExitOK, "import", name, "--yes")
	write(exported + exported)
	r.say("is there twice", cli.ExitError, "import", name, "--yes")
	write(strings.ReplaceAll(exported, `"id":"processor:shop.orders.raw:0:`, `"id":"processor:shop.orders.raw:9:`))
	r.say("line 3: there is no letter with the id", cli.ExitError, "import", name, "--yes")
	write(strings.Replace(exported, `"total":20}`, `"total":30}`, 1))
	r.say("division by zero", cli.ExitError, "import", name, "--yes")

	edited := strings.NewReplacer(`"total":20}`, `"total":21}`, `"total":40}`, `"total":41}`).Replace(exported)
	write(edited)
	r.say("2 letters would be edited, 1 unchanged", cli.ExitOK, "import", name, "--dry-run")
	r.say("--yes answers", cli.ExitError, "import", name)
	r.total.Store(45) // a newer record of order 4
	r.rows("10,45")
	r.say("1 letter edited, 1 superseded", cli.ExitOK, "import", name, "--yes")
	r.rows("10,21,45")
	r.say(`"closed": 2`, cli.ExitOK, "import", name, "--yes", "--output", "json")
	r.say("open        1 ", cli.ExitOK, "list", "--all")
	r.rows("10,21,45")
}
