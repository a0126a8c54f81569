package tool

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/preview"
	"github.com/millrace-io/millrace/internal/testkit"
)

const previewFile = `pipeline: shop
http: {base_url: "URL", auth: {api_key: {param: key, value: "${SHOP_KEY}"}}, retry: {initial: 1ms, max: 10ms}}
streams:
  orders:
    ingest:
      path: /orders
      records: data
      key: id
      paginate: {page: {param: page}}
      incremental: {field: updated, param: since}
    process:
      - filter: status != "draft"
      - map: {id: id, name: name, town: customer.town, cents: total * 100}
    sink: {columns: {id: bigint key, name: varchar(4), town: varchar(20), cents: bigint}}
`

func previewAPI(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("key") != "hush-hush-key" {
			http.Error(w, `{"message":"unknown key"}`, http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Ratelimit-Remaining", "41")
		page := map[string]string{
			"1": `{"id":1,"status":"new","name":"Ada","total":2,"updated":"2024-01-02T00:00:00Z"},{"id":2,"status":"draft","name":"Bo","total":1,"updated":"2024-01-03T00:00:00Z"}`,
			"2": `{"id":1,"status":"paid","name":"Adalbert","total":3,"updated":"2024-01-01T00:00:00Z"},{"id":3,"status":"new","name":"Cy","total":"x","updated":"2024-01-04T00:00:00Z"}`,
		}[r.FormValue("page")]
		_, _ = fmt.Fprintf(w, `{"data":[%s],"page":%s}`, page, r.FormValue("page"))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPreview: requests, records after every step, rows and what is likely a mistake; and no secret.
func TestPreview(t *testing.T) {
	t.Setenv("SHOP_KEY", "hush-hush-key")
	url := previewAPI(t)
	name := writeFile(t, "shop.yaml", strings.Replace(previewFile, "URL", url, 1))
	code, stdout, stderr := invoke(t, "millrace", "preview", name, "orders", "--pages", "5", "--records", "10", "--columns")
	if code != 0 || strings.Contains(stdout+stderr, "hush") {
		t.Fatalf("%d %s %s", code, stdout, stderr)
	}
	for _, want := range []string{
		"GET " + url + "/orders?", "key=[secret]", "X-Ratelimit-Remaining: 41", "  1: 2 records, ", `besides: {"data":[],"page":1}`, "next: " + url + "/orders?page=2", "ends: a page without records",
		"record 1, version 1704153600000000000\n", `process[0].filter → {"id":1,"status":"new","name":"Ada","total":2,"updated":"2024-01-02T00:00:00Z"}`, `process[1].map → {"id":1,"name":"Ada","town":null,"cents":200}`,
		"    id     bigint       1\n    name   varchar(4)   Ada\n    town   varchar(20)  NULL\n    cents  bigint       200\n", "no row: a filter refuses it", "dead letter of the processor: process[1].map.cents: total * 100: ",
		"4 records with 3 keys: 2 rows, 1 without a row, 1 dead letter\n", "warning: process[1].map.town: no record so far has the field customer.town",
		"warning: ingest.key: 1 key came more than once (1)", "warning: the order of the records is not that of the versions", "warning: sink.columns.name: Adalbert does not fit: it has 8 characters; varchar(4) holds 4 (1 of 4 records)",
		"proposed, from these records:", "id: bigint key",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in:\n%s", want, stdout)
		}
	}
	code, stdout, stderr = invoke(t, "millrace", "preview", name, "--output", "json", "--pages", "1")
	var r preview.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 || r.Counts.Records != 2 || len(r.Requests) != 1 || !strings.Contains(r.Ended, "after 1 page, as asked") {
		t.Errorf("%d %v %+v %s", code, err, r, stderr)
	}
}

func TestPreviewSaysWhatTheStageWouldWaitFor(t *testing.T) {
	t.Setenv("SHOP_KEY", "another-key")
	name := writeFile(t, "shop.yaml", strings.Replace(previewFile, "URL", previewAPI(t), 1))
	code, stdout, stderr := invoke(t, "millrace", "preview", name, "orders")
	if code != cli.ExitError || !strings.Contains(stdout, "waits: GET ") || !strings.Contains(stderr, "unknown key") || !strings.Contains(stderr, "check http.auth") {
		t.Errorf("%d %s %s", code, stdout, stderr)
	}
	for _, c := range []struct{ args, want string }{
		{"orders --pages 0", "--pages"}, {"orders --output xml", "--output"}, {"parcels", `no stream "parcels"`},
	} {
		code, _, stderr := invoke(t, "millrace", append([]string{"preview", name}, strings.Fields(c.args)...)...)
		if code != cli.ExitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: %d %s", c.args, code, stderr)
		}
	}
	_, stdout, _ = invoke(t, "millrace", "__complete", "preview", name, "or")
	if !strings.HasPrefix(stdout, "orders\n") {
		t.Errorf("completion: %s", stdout)
	}
}

func TestTry(t *testing.T) {
	name := writeFile(t, "shop.yaml", strings.Replace(previewFile, "URL", "https://api.example.com", 1))
	record := writeFile(t, "order.json", `[{"id":1,"status":"new","name":"Ada","total":2},{"id":2,"status":"draft"}]`)
	code, stdout, stderr := invoke(t, "millrace", "try", name, "orders", "--record", record)
	if code != 0 || !strings.Contains(stdout, `process[1].map → {"id":1,"name":"Ada","town":null,"cents":200}`) || !strings.Contains(stdout, "no row: a filter refuses it") {
		t.Errorf("%d %s %s", code, stdout, stderr)
	}
	bad := writeFile(t, "bad.json", `{"status":"new"} {"id":3,"status":"new","total":"x"}`)
	code, stdout, stderr = invoke(t, "millrace", "try", name, "--record", bad)
	if code != cli.ExitError || !strings.Contains(stdout, `dead letter of the ingest: ingest.key: the key field "id" is missing`) || !strings.Contains(stderr, "2 of 2 records would be dead letters") {
		t.Errorf("%d %s %s", code, stdout, stderr)
	}
	if code, _, stderr = invoke(t, "millrace", "try", name, "--watch"); code != cli.ExitUsage || !strings.Contains(stderr, "--watch needs --record") {
		t.Errorf("%d %s", code, stderr)
	}
}

// TestTryWatches: when the pipeline file changes, the steps run again; a mistake in it is shown, and does not end it.
func TestTryWatches(t *testing.T) {
	text := strings.Replace(previewFile, "URL", "https://api.example.com", 1)
	name := writeFile(t, "shop.yaml", text)
	record := writeFile(t, "order.json", `{"id":1,"status":"new","name":"Ada","total":2}`)
	p := exec.CommandContext(t.Context(), os.Args[0], "try", name, "orders", "--record", record, "--watch")
	p.Env = append(os.Environ(), asBinary+"=millrace")
	var out testkit.Buffer
	p.Stdout = &out
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ write, want string }{
		{"", `"cents":200`},
		{strings.Replace(text, "total * 100", "total * 7", 1), `"cents":14`},
		{strings.Replace(text, "total * 100", "total *", 1), "the expression ends too early"},
		{strings.Replace(text, "total * 100", "total * 9", 1), `"cents":18`},
	} {
		if step.write != "" {
			if err := os.WriteFile(name, []byte(step.write), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		testkit.Eventually(t, patience, testkit.That(step.want, func() bool { return strings.Contains(out.String(), step.want) }))
	}
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("after an interrupt: %v\n%s", err, out.String())
	}
}
