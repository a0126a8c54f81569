package tool

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

const childFile = `pipeline: shop
http: {base_url: "URL"}
streams:
  orders:
    ingest: {path: /orders, records: data, key: id}
    sink: {columns: {id: bigint key}}
  items:
    ingest:
      for_each: orders
      path: /orders/{orders.id}/items
      add: {order: "{orders.id}"}
      records: data
      key: [order, id]
    sink: {columns: {order: bigint key, id: bigint key}}
  notes:
    ingest: {for_each: items, path: "/orders/{items.order}/items/{items.id}/notes", records: data, key: [$slice, id]}
    process: [map: {item: $slice, id: id}]
    sink: {columns: {item: varchar(40) key, id: bigint key}}
`

// TestAChildIsLookedAt: preview, record and test ask for the parent's records first, whatever its depth; --slice names
// one.
func TestAChildIsLookedAt(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := strings.Count(r.URL.Path, "/")
		switch {
		case r.URL.Path == "/orders/2/items":
			http.NotFound(w, r)
		case n == 1:
			_, _ = fmt.Fprint(w, `{"data":[{"id":1},{"id":2},{"id":3},{"id":4}]}`)
		default:
			_, _ = fmt.Fprintf(w, `{"data":[{"id":%d}]}`, n)
		}
	}))
	t.Cleanup(api.Close)
	t.Chdir(t.TempDir())
	text := strings.Replace(childFile, "URL", api.URL, 1)
	if err := os.WriteFile("shop.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[string][]string{
		"items": {"/orders 200", "/orders/1/items", "/orders/2/items", "/orders/3/items", `{"order":1,"id":3}`, "2 records with 2 keys"},
		"notes": {"/orders/1/items/3/notes", "/orders/3/items/3/notes"},
	} {
		code, stdout, stderr := invoke(t, "millrace", "preview", "shop.yaml", stream)
		for _, part := range want {
			if code != 0 || !strings.Contains(stdout, strings.TrimSuffix(part, " 200")) {
				t.Errorf("%s: %d, no %q in %s %s", stream, code, part, stdout, stderr)
			}
		}
	}
	code, stdout, stderr := invoke(t, "millrace", "preview", "shop.yaml", "items", "--slice", "4")
	if code != 0 || !strings.Contains(stdout, "/orders/4/items") || strings.Contains(stdout, "/orders/1/items") {
		t.Errorf("--slice: %d %s %s", code, stdout, stderr)
	}
	if code, stdout, stderr = invoke(t, "millrace", "preview", "shop.yaml", "items", "--slice", "9"); code == 0 || !strings.Contains(stdout+stderr, `has no record for the slice "9"`) {
		t.Errorf("no such slice: %d %s %s", code, stdout, stderr)
	}
	if code, stdout, stderr = invoke(t, "millrace", "record", "shop.yaml", "items"); code != 0 || !strings.HasPrefix(stdout, "testdata/items: 4 answers with 2 records\n") {
		t.Fatalf("record: %d %s %s", code, stdout, stderr)
	}
	api.Close()
	const tests = "tests:\n  - name: items\n    stream: items\n    cassette: testdata/items\n    rows: [{order: 1, id: 3}, {order: 3, id: 3}]\n"
	if err := os.WriteFile("shop.test.yaml", []byte(tests), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr = invoke(t, "millrace", "test", "shop.yaml"); code != 0 {
		t.Errorf("test: %d %s %s", code, stdout, stderr)
	}
}
