package file_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/pipeline/file"
)

func unset(string) (string, bool) { return "", false }

// TestOffline: without its variables a file is checked as far as it can be, and says which it needs.
func TestOffline(t *testing.T) {
	for _, path := range glob(t, "testdata/good/*.yaml") {
		if _, err := file.InspectBytes(path, read(t, path), unset, true); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	const text = `pipeline: shop
database: {mysql: "app:${MYSQL_PASSWORD}@tcp(localhost:3306)/shop"}
http: {base_url: "https://${SHOP}.example.com", auth: {bearer: "${TOKEN}"}, headers: {X-Key: "${file:none/such}"}}
streams:
  orders:
    ingest: {path: /orders, key: id, query: {token: "${TOKEN}"}, every: "${EVERY}"}
    sink: {columns: {id: bigint key}}
`
	got, err := file.InspectBytes("shop.yaml", []byte(text), unset, true)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"${MYSQL_PASSWORD}", "${SHOP}", "${TOKEN}", "${file:none/such}", "${EVERY}"}
	if d := cmp.Diff(want, got.Unset); d != "" {
		t.Error(d)
	}
	if base := got.Pipeline.Streams[0].Ingest.HTTP.BaseURL; base != "https://1.example.com" {
		t.Errorf("base URL %s", base)
	}
	for _, s := range got.Pipeline.Secrets {
		if s.Value.Reveal() == "1" {
			t.Errorf("%s: what stands in for it counts as a secret, and would be hidden wherever it stands", s.Name)
		}
	}
	if _, err := file.InspectBytes("shop.yaml", []byte(text), unset, false); err == nil || !strings.Contains(err.Error(), "the environment has no variable SHOP") {
		t.Errorf("with references to be resolved: %v", err)
	}
	bad := strings.ReplaceAll(text, "localhost:3306)/shop", "localhost:3306)")
	if _, err := file.InspectBytes("shop.yaml", []byte(bad), unset, true); err == nil || !strings.Contains(err.Error(), "data source name") {
		t.Errorf("what is wrong around a reference is not found: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	const text = `pipeline: shop
http: {base_url: "https://example.com"}
streams:
  orders:
    ingest: {path: /orders, key: id}
    process:
      - filter: status != draft
      - filter: amount == paid or currency in [EUR, "USD"]
      - map: {id: id, paid: paid, open: 'amount != null'}
    sink: {columns: {id: bigint key, paid: "decimal(9,2)", open: bool}}
`
	got, err := file.InspectBytes("shop.yaml", []byte(text), unset, false)
	if err != nil {
		t.Fatal(err)
	}
	want := `shop.yaml:7:27: streams.orders.process[0].filter: draft is compared with as a field; a text is written in quotes: "draft"
     7 |       - filter: status != draft
       |                           ^
shop.yaml:8:48: streams.orders.process[1].filter: EUR is compared with as a field; a text is written in quotes: "EUR"
     8 |       - filter: amount == paid or currency in [EUR, "USD"]
       |                                                ^`
	if d := cmp.Diff(want, got.Warnings.Error()); d != "" {
		t.Error(d)
	}
}
