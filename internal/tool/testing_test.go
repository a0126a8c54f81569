package tool

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/cli"
)

// TestRecordAndTest: what was recorded is tested without the API and without the secret, and a change of the steps
// shows.
func TestRecordAndTest(t *testing.T) {
	t.Setenv("SHOP_KEY", "hush-hush-key")
	dir := t.TempDir()
	t.Chdir(dir)
	text := strings.Replace(previewFile, "URL", previewAPI(t), 1)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("shop.yaml", text)
	code, stdout, stderr := invoke(t, "millrace", "record", "shop.yaml", "orders", "--mask", "name")
	if code != 0 || !strings.HasPrefix(stdout, "testdata/orders: 3 answers with 4 records\n") {
		t.Fatalf("%d %s %s", code, stdout, stderr)
	}
	tape, err := os.ReadFile(filepath.Join("testdata", "orders", "0001.http"))
	if err != nil {
		t.Fatal(err)
	}
	for _, no := range []string{"hush", "Ada"} {
		if strings.Contains(string(tape), no) {
			t.Errorf("%s is in the cassette:\n%s", no, tape)
		}
	}
	if !strings.Contains(string(tape), "masked-") || !strings.Contains(string(tape), "X-Ratelimit-Remaining: 41") || !strings.HasPrefix(string(tape), "GET http://127.0.0.1:") {
		t.Errorf("the cassette is\n%s", tape)
	}
	if err := os.Unsetenv("SHOP_KEY"); err != nil {
		t.Fatal(err)
	}
	const tests = `# What the shop's orders become.
tests:
  - name: the first pass
    stream: orders
    cassette: testdata/orders
    rows:
      - {id: 1, cents: 200}
    letters:
      - {key: "3", step: "process[1].map.cents"}
  - name: a draft has no row
    records: [{id: 2, status: draft}, '{"id": 9007199254740993, "status": "new", "total": 1.10, "name": "X"}']
    rows:
      - {id: 9007199254740993, name: X, town: null, cents: 110}
`
	write("shop.test.yaml", tests)
	code, stdout, stderr = invoke(t, "millrace", "test", "shop.yaml", "--junit", "report.xml")
	if code != 0 || strings.Count(stdout, "ok   ") != 2 {
		t.Fatalf("%d %s %s", code, stdout, stderr)
	}
	var suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
	}
	report, err := os.ReadFile("report.xml")
	if err != nil || xml.Unmarshal(report, &suite) != nil || suite.Tests != 2 || suite.Failures != 0 {
		t.Errorf("%v %s", err, report)
	}

	write("shop.yaml", strings.Replace(text, "total * 100", "total * 10", 1))
	code, stdout, stderr = invoke(t, "millrace", "test", "shop.yaml")
	for _, want := range []string{"FAIL the first pass (shop.test.yaml:3)", "  - {id: 1, cents: 200}\n  + {id: 1, cents: 20}\n", "FAIL a draft"} {
		if code != cli.ExitError || !strings.Contains(stdout, want) || !strings.Contains(stderr, "2 of 2 tests failed") {
			t.Errorf("%d, no %q in %s %s", code, want, stdout, stderr)
		}
	}
	write("shop.yaml", strings.Replace(text, "name: name, ", "name: upper(id), ", 1))
	if _, stdout, _ = invoke(t, "millrace", "test", "shop.yaml", "--run", "the first pass"); !strings.Contains(stdout, "letters (shop.yaml:13:29)\n") || strings.Contains(stdout, "a draft") {
		t.Errorf("a dead letter does not lead to its step:\n%s", stdout)
	}

	write("shop.yaml", text)
	write("shop.test.yaml", strings.Replace(tests, "cents: 200", "cents: 1", 1))
	if code, stdout, stderr = invoke(t, "millrace", "test", "shop.yaml", "--update"); code != 0 {
		t.Errorf("--update: %d %s %s", code, stdout, stderr)
	}
	updated, err := os.ReadFile("shop.test.yaml")
	if err != nil || !strings.Contains(string(updated), "# What the shop's orders become.") || !strings.Contains(string(updated), "cents: 200") || !strings.Contains(string(updated), "GET /orders?page=1") {
		t.Errorf("%v\n%s", err, updated)
	}
	if code, stdout, stderr = invoke(t, "millrace", "test", "shop.yaml"); code != 0 {
		t.Errorf("after --update: %d %s %s", code, stdout, stderr)
	}
}

// TestWhatIsNotRecordedIsNoEnd: a request without an answer fails the test, even where the API says 404 past the end;
// and a cassette may be written by hand, for an API of which the address is not known here.
func TestWhatIsNotRecordedIsNoEnd(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "tape"), 0o750); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"tape/1.http": "GET https://api.test/v2/orders?page=1\n\nHTTP 200\n\n[{\"id\": 1}]\n",
		"shop.yaml": "pipeline: shop\nhttp: {base_url: \"${NO_SUCH_URL}\"}\nstreams:\n  orders:\n    ingest: {path: /orders, key: id, paginate: {page: {param: page, past_end: 404}}}\n" +
			"    sink: {columns: {id: bigint key}}\n",
		"shop.test.yaml": "tests: [{name: a, cassette: tape, rows: [{id: 1}]}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, _ := invoke(t, "millrace", "test", filepath.Join(dir, "shop.yaml"))
	if code != cli.ExitError || !strings.Contains(stdout, "GET /v2/orders?page=2 was asked for, and is not in the cassette tape") {
		t.Errorf("%d %s", code, stdout)
	}
	if err := os.WriteFile(filepath.Join(dir, "tape", "2.http"), []byte("GET https://api.test/v2/orders?page=2\n\nHTTP 404\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := invoke(t, "millrace", "test", filepath.Join(dir, "shop.yaml")); code != 0 {
		t.Errorf("%d %s %s", code, stdout, stderr)
	}
}

func TestTestRefuses(t *testing.T) {
	name := writeFile(t, "shop.yaml", strings.Replace(previewFile, "URL", "https://api.example.com", 1))
	for text, want := range map[string]string{
		"tests: []":              "it has no tests",
		"tests: [{records: []}]": "a test needs a name",
		"tests: [{name: a}]":     "a test has a cassette, or records",
		"tests: [{name: a, rows: [1], records: []}]":  "a row is a mapping",
		"tests: [{name: a, records: [], expect: []}]": "expect",
	} {
		code, _, stderr := invoke(t, "millrace", "test", name, "--tests", writeFile(t, "t.yaml", text))
		if code != cli.ExitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: %d %s, want %s", text, code, stderr, want)
		}
	}
	code, stdout, _ := invoke(t, "millrace", "test", name, "--tests", writeFile(t, "t.yaml", "tests: [{name: a, cassette: nowhere}, {name: b, stream: parcels, records: [{id: 1}]}]"))
	if code != cli.ExitError || !strings.Contains(stdout, "nowhere") || !strings.Contains(stdout, `no stream "parcels"`) {
		t.Errorf("%d %s", code, stdout)
	}
}
