package tool

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestTestsPage: what docs/reference/tests.md shows runs as it stands there.
func TestTestsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/tests.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(language string) []byte {
		t.Helper()
		m := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(page)
		if m == nil {
			t.Fatalf("the page has no %s", language)
		}
		return m[1]
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "testdata", "orders"), 0o750); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"testdata/orders/0001.http": block("http"),
		"shop.test.yaml":            block("yaml"),
		"shop.yaml": []byte(`pipeline: shop
http: {base_url: https://api.example.com/v2, auth: {bearer: "${NOT_SET_HERE}"}}
streams:
  orders:
    ingest: {path: /orders, query: {limit: 2}, records: data, key: id, paginate: {cursor: {next: next, param: cursor}}}
    process:
      - filter: status != "draft"
      - map: {order_id: id, total: total / 100}
    sink: {columns: {order_id: bigint key, total: "decimal(12,4)"}}
`),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, stdout, stderr := invoke(t, "millrace", "test", filepath.Join(dir, "shop.yaml")); code != 0 {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
}
