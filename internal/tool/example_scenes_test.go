package tool

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/testkafka"
)

// scene is what an example finds when it runs.
type scene struct {
	lines  string   // what the line begins with, of which the longest counts
	dir    string   // a directory of scenes
	beside []string // lines that run beside; they are ready before
}

// running and redoing are what runs beside.
var (
	running = []string{"millrace run shop.yaml"}
	redoing = []string{"millrace run shop.yaml", "millrace replay shop.yaml orders --rate 1 --yes"}
)

// sceneOf is the play bill: a line that no entry names runs where a pipeline has run once.
var sceneOf = []scene{
	{"", "ran", nil},
	{"millrace run", "files", nil},
	{"millrace ingest", "brokers", nil},
	{"millrace processor", "brokers", nil},
	{"millrace sink", "brokers", nil},
	{"ingest", "brokers", nil},
	{"processor", "brokers", nil},
	{"sink", "brokers", nil},
	{"millrace demo", "files", nil},
	{"millrace validate", "files", nil},
	{"millrace test", "files", nil},
	{"millrace init", "empty", nil},
	{"millrace topics shop.yaml --create", "brokers", nil},
	{"millrace healthcheck", "ran", running},
	{"curl localhost:9464/readyz", "ran", running},
	{"curl 'http://localhost:8080/", "empty", []string{"millrace demo api --listen localhost:8080"}},
	{"millrace try shop.yaml orders --key", "corrected", nil},
	{"millrace dlq retry", "corrected", nil},
	{"millrace dlq import", "exported", nil},
	{"millrace topics grow", "brokers of its own", running},
	{"millrace topics grep shop.yaml orders '[", "regions", nil},
	{"millrace reset", "ran", running}, // a sweep waits for a pass
	{"millrace recover shop.yaml --kafka-lost", "lost", running},
	{"millrace replay", "corrected", nil},
	{"millrace replay status", "corrected", redoing},
	{"millrace replay pause", "corrected", redoing},
	{"millrace replay resume", "corrected", redoing},
	{"millrace replay abort", "corrected", redoing},
	{"millrace replay diff", "built", running},
	{"millrace replay swap", "built", running},
	{"millrace replay drop", "built", running},
	{"millrace replay rollback", "swapped", running},
}

const (
	exampleShop = `pipeline: shop
http: {base_url: "API/v2", auth: {bearer: "${SHOP_TOKEN}"}, rate_limit: {requests: 100, per: 1s}}
streams:
  orders:
    ingest: {path: /orders, records: data, key: id, every: 1s, paginate: {page: {param: page}}, incremental: {field: updated_at, param: updated_since}}
    process: [{map: {id: id, status: status, email: email, total: total / items}}]
    sink: {columns: {id: bigint key, status: varchar(20), email: varchar(100), total: bigint}}
  customers:
    ingest: {path: /customers, records: data, key: id, every: 1s, paginate: {page: {param: page}}}
    sink: {columns: {id: bigint key, email: varchar(100)}}
`
	exampleTests = `tests:
  - {name: a, stream: orders, records: [{id: 1, status: new, email: a@example.org, total: 10, items: 2}], rows: [{id: 1, status: new, email: a@example.org, total: 5}]}
`
	exampleOrder = `{"id": 1, "status": "new", "email": "a@example.org", "total": 10, "items": 2, "updated_at": "2026-10-01T00:00:00Z"}`
	exampleHAR   = `{"log": {"entries": [{"request": {"method": "GET", "url": "API/v2/orders", "headers": []},
		"response": {"status": 200, "headers": [], "content": {"mimeType": "application/json", "text": "{}"}}}]}}`
)

// exampleAPI is api.example.com: 600 orders, of which 4711 has no items, so that its average is a division by zero.
func exampleAPI(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		all := []map[string]any{}
		for id := 4300; id < 4900 && r.FormValue("page") <= "1"; id++ {
			order := map[string]any{"id": id, "region": "eu", "status": "new", "email": fmt.Sprintf("%d@example.org", id), "total": 10, "items": 2, "updated_at": "2026-10-01T00:00:00Z"}
			if id == 4711 {
				order["items"] = 0
			}
			all = append(all, order)
		}
		switch r.URL.Path {
		case "/v2/orders", "/v2/customers":
			_ = json.NewEncoder(w).Encode(map[string]any{"data": all})
		case "/v2/orders/1":
			_, _ = w.Write([]byte(exampleOrder))
		case "/v2/openapi.yaml":
			_, _ = w.Write([]byte("openapi: 3.0.0\nservers: [{url: /v2}]\npaths: {/orders: {get: {}}, /jobs: {get: {}}}\n"))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// scenes are the directories, made once each; every line gets a copy of its own.
type scenes struct {
	api   string
	root  string
	kafka string // a real server; empty: the test's
	mysql string // likewise; empty: it is waited for
}

func newScenes(t *testing.T) *scenes {
	t.Helper()
	s := &scenes{api: exampleAPI(t), root: t.TempDir()}
	s.make(t, "empty", "", map[string]string{"session.har": exampleHAR})
	s.make(t, "files", "empty", map[string]string{
		"shop.yaml": exampleShop, "shop.test.yaml": exampleTests, "order.json": exampleOrder, "pipelines/a.yaml": exampleShop, "pipelines/b.yaml": exampleShop,
	})
	const averaged = "total: total / items"
	regions := strings.Replace(exampleShop, "data, key: id, every", "data, key: [region, id], every", 1)
	regions = strings.Replace(strings.Replace(regions, averaged, averaged+", region: region", 1), "{id: bigint key, status", "{region: varchar(10) key, id: bigint key, status", 1)
	s.make(t, "ran", "files", nil, "millrace run shop.yaml --once")
	s.make(t, "regions", "files", map[string]string{"shop.yaml": regions}, "millrace run shop.yaml --once")
	s.make(t, "corrected", "ran", map[string]string{"shop.yaml": strings.Replace(exampleShop, averaged, "total: 'items == 0 ? 0 : total / items'", 1)})
	s.make(t, "built", "ran", map[string]string{"shop.yaml": strings.Replace(exampleShop, "varchar(20)", "varchar(40)", 1)}, "millrace replay shop.yaml orders --shadow --yes")
	s.make(t, "swapped", "built", nil)
	s.beside(t, "swapped", "millrace run shop.yaml", "millrace replay swap shop.yaml orders --yes")
	s.make(t, "lost", "ran", nil)
	if err := os.RemoveAll(filepath.Join(s.root, "lost", ".millrace", "shop", "kafka")); err != nil {
		t.Fatal(err)
	}
	s.make(t, "brokers", "files", nil)
	s.make(t, "brokers of its own", "files", nil)
	s.make(t, "exported", "corrected", nil, "millrace dlq export shop.yaml orders > refused.ndjson")
	return s
}

// make makes a directory: a copy of another, with files that are new, in which lines have run.
func (s *scenes) make(t *testing.T, name, from string, files map[string]string, lines ...string) {
	t.Helper()
	dir := filepath.Join(s.root, name)
	if from == "" {
		from = "nothing"
		if err := os.MkdirAll(filepath.Join(s.root, from), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(s.root, from))); err != nil {
		t.Fatal(err)
	}
	for file, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(strings.ReplaceAll(text, "API", s.api)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.beside(t, name, "", lines...)
}

// beside runs lines in a directory while another runs.
func (s *scenes) beside(t *testing.T, name, beside string, lines ...string) {
	t.Helper()
	here := newPlace(t, filepath.Join(s.root, name), s.api)
	if beside != "" {
		other, err := here.begin(t, beside)
		if err != nil {
			t.Fatalf("%s: %s: %v", name, beside, err)
		}
		defer func() {
			if err := other.end(); err != nil {
				t.Errorf("%s: %s: %v", name, beside, err)
			}
		}()
	}
	for _, line := range lines {
		if err := here.run(t, line); err != nil {
			t.Fatalf("%s: %s: %v", name, line, err)
		}
	}
}

// servers names real servers, or those of the test, in the pipeline file of a directory.
func (s *scenes) servers(t *testing.T, dir string) {
	t.Helper()
	brokers, dsn := s.kafka, s.mysql
	if brokers == "" {
		brokers, dsn = testkafka.New(t).ListenAddrs()[0], nobody
	}
	rewrite(t, filepath.Join(dir, "shop.yaml"), "pipeline: shop\n", fmt.Sprintf("pipeline: shop\nkafka: {brokers: [%q]}\ndatabase: {mysql: %q}\n", brokers, dsn))
}

// nobody is a database that a sink waits for.
const nobody = "app:hush-hush@tcp(127.0.0.1:1)/shop"

// of is the scene of a line.
func (*scenes) of(line string) scene {
	in := sceneOf[0]
	for _, entry := range sceneOf {
		if strings.HasPrefix(line, entry.lines) && len(entry.lines) > len(in.lines) {
			in = entry
		}
	}
	return in
}

// play runs a line in its scene. Its error holds what the line has printed.
func (s *scenes) play(t *testing.T, line string) error {
	t.Helper()
	in := s.of(line)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(s.root, in.dir))); err != nil {
		return err
	}
	switch in.dir {
	case "brokers":
		s.servers(t, dir)
	case "brokers of its own":
		rewrite(t, filepath.Join(dir, "shop.yaml"), "pipeline: shop\n", fmt.Sprintf("pipeline: shop\nkafka: {brokers: [%q]}\n", testkafka.New(t).ListenAddrs()[0]))
	}
	here := newPlace(t, dir, s.api)
	for _, beside := range in.beside {
		other, err := here.begin(t, beside)
		if err != nil {
			return fmt.Errorf("beside it: %s: %w", beside, err)
		}
		defer func() { _ = other.end() }() // what it says is not of the line
	}
	return here.run(t, line)
}
