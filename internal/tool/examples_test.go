package tool

import (
	"encoding/json"
	"fmt"
	"io"
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
var exemplary = []string{"init", "validate", "explain", "preview", "try", "record", "test", "doctor", "schema", "version"} // init's examples name files that the test makes

// TestExamplesOfHelpRun: what --help shows works as it stands, with an API in the place of api.example.com.
func TestExamplesOfHelpRun(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "openapi.yaml") {
			_, _ = io.WriteString(w, "openapi: 3.0.0\nservers: [{url: /v2}]\npaths: {/orders: {get: {}}, /jobs: {get: {}}}\n")
			return
		}
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
					"session.har": fmt.Sprintf(`{"log": {"entries": [{"request": {"method": "GET", "url": "%s/v2/orders", "headers": []},
						"response": {"status": 200, "headers": [], "content": {"mimeType": "application/json", "text": "{}"}}}]}}`, api.URL),
					"shop.test.yaml": "tests: [{name: a, records: [{id: 1, status: new}], rows: [{id: 1, status: new}]}]\n",
				} {
					if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				words, err := shellWords(strings.NewReplacer("https://api.example.com", api.URL, "4711", "1").Replace(command))
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
				if c.Name() == "try" && strings.Contains(command, "--key") || strings.Contains(command, "--since") {
					if code, _, stderr := invoke(t, "millrace", "run", "shop.yaml", "--once", "--listen", ""); code != 0 {
						t.Fatalf("run: %d %s", code, stderr)
					}
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

// operating are the commands of which the examples are run on a pipeline that has run.
var operating = []string{"status", "pause", "resume", "dlq list", "dlq show", "topics plan", "topics apply", "topics list", "topics tail", "topics grep", "recover"}

// TestExamplesOfOperatingRun: what --help shows of looking at a pipeline, and of its operation, works as it stands.
func TestExamplesOfOperatingRun(t *testing.T) {
	url, _ := orders(t)
	t.Chdir(t.TempDir())
	text := "pipeline: shop\nhttp: {base_url: \"" + url + "\"}\nstreams:\n"
	for _, name := range []string{"orders", "customers"} {
		text += "  " + name + ": {ingest: {path: /" + name + ", key: id}, sink: {columns: {id: bigint key, total: bigint}}}\n"
	}
	if err := os.WriteFile("shop.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := invoke(t, "millrace", "run", "shop.yaml", "--once", "--listen", ""); code != 0 {
		t.Fatalf("run: %d %s", code, stderr)
	}
	ran := 0
	walk(newRootCommand(), func(c *cobra.Command) {
		path := strings.TrimPrefix(c.CommandPath(), "millrace ")
		if !slices.Contains(operating, path) {
			return
		}
		for line := range strings.Lines(c.Example) {
			command, _, _ := strings.Cut(strings.NewReplacer(" > ", " | ").Replace(strings.TrimSpace(line)), " | ")
			if !strings.HasPrefix(command, c.CommandPath()+" ") || strings.Contains(command, "--follow") || strings.Contains(command, `["eu"`) || strings.Contains(command, "-lost") {
				continue
			}
			words, err := shellWords(strings.ReplaceAll(command, "4711", "1"))
			if err != nil {
				t.Fatal(err)
			}
			if c.Flags().Lookup("yes") != nil {
				words = append(words, "--yes")
			}
			if code, stdout, stderr := invoke(t, "millrace", words[1:]...); code != 0 {
				t.Errorf("%s: %d\n%s%s", command, code, stdout, stderr)
			}
			ran++
		}
	})
	if ran < 15 {
		t.Errorf("only %d examples were run", ran)
	}
}

// TestExamplesOfHelpParse: of the other commands too, an example has only flags and arguments that there are.
func TestExamplesOfHelpParse(t *testing.T) {
	walk(newRootCommand(), func(c *cobra.Command) {
		for line := range strings.Lines(c.Example) {
			command, _, _ := strings.Cut(strings.NewReplacer(" && ", " | ", " > ", " | ", "   ", " | ").Replace(strings.TrimSpace(line)), " | ")
			if !strings.HasPrefix(command, "millrace ") {
				continue
			}
			words, err := shellWords(command)
			if err != nil {
				t.Errorf("%s: %v", command, err)
				continue
			}
			found, rest, err := newRootCommand().Find(words[1:])
			if err == nil {
				err = found.ParseFlags(rest)
			}
			if err == nil && found.Runnable() {
				err = found.ValidateArgs(found.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: %v", command, err)
			}
		}
	})
}
