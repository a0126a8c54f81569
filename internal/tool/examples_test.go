package tool

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// exemplary are the commands of which the examples of --help are run; the others need servers, and have tests of their own.
var exemplary = []string{"init", "validate", "explain", "preview", "try", "record", "test", "doctor", "schema", "version"}

// TestExamplesOfHelpRun: what --help shows works as it stands, with an API in the place of api.example.com.
func TestExamplesOfHelpRun(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		all := []map[string]any{{"id": 1, "status": "new", "email": "a@example.org"}, {"id": 2, "status": "new", "email": "b@example.org"}, {"id": 3, "status": "paid", "email": "c@example.org"}}
		if r.FormValue("page") > "1" {
			all = []map[string]any{}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": all})
	}))
	defer api.Close()
	t.Setenv("SHOP_TOKEN", "hush-hush")
	t.Setenv("SHOP_KEY", "hush-hush-key")
	const shop = `pipeline: shop
http: {base_url: "%s/v2", auth: {bearer: "${SHOP_TOKEN}"}}
streams:
  orders:
    ingest: {path: /orders, records: data, key: id, paginate: {page: {param: page}}}
    sink: {columns: {id: bigint key, status: varchar(20), email: varchar(100)}}
`
	ran := 0
	walk(newRootCommand(), func(c *cobra.Command) {
		if !slices.Contains(exemplary, c.Name()) || c.Parent() == nil || c.Parent().Parent() != nil {
			return
		}
		for line := range strings.Lines(c.Example) {
			line = strings.TrimSpace(line)
			command, _, _ := strings.Cut(strings.NewReplacer(" && ", " | ", " > ", " | ", "   #", " | ").Replace(line), " | ")
			if !strings.HasPrefix(command, c.CommandPath()+" ") && command != c.CommandPath() || strings.Contains(command, "--watch") {
				continue
			}
			t.Run(command, func(t *testing.T) {
				t.Chdir(t.TempDir())
				for name, text := range map[string]string{
					"shop.yaml": fmt.Sprintf(shop, api.URL), "pipelines/a.yaml": fmt.Sprintf(shop, api.URL), "order.json": `{"id": 1, "status": "new"}`,
					"shop.test.yaml": "tests: [{name: a, records: [{id: 1, status: new}], rows: [{id: 1, status: new}]}]\n",
				} {
					if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				words, err := shellWords(strings.ReplaceAll(command, "https://api.example.com", api.URL))
				if err != nil {
					t.Fatal(err)
				}
				var args []string
				for _, word := range words[1:] {
					if found, err := filepath.Glob(word); err == nil && strings.Contains(word, "*") && len(found) > 0 {
						args = append(args, found...)
						continue
					}
					args = append(args, word)
				}
				if c.Name() == "init" {
					args = append(args, "--yes")
				}
				if code, stdout, stderr := invoke(t, "millrace", args...); code != 0 {
					t.Errorf("%d\n%s%s", code, stdout, stderr)
				}
			})
			ran++
		}
	})
	if ran < 20 {
		t.Errorf("only %d examples were run", ran)
	}
}
