//go:build integration

package foreign_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pouchdbServer serves databases in memory, by CouchDB's protocol.
const pouchdbServer = `const PouchDB = require('pouchdb-core')
  .plugin(require('pouchdb-adapter-memory')).plugin(require('pouchdb-adapter-http'))
  .plugin(require('pouchdb-mapreduce')).plugin(require('pouchdb-replication'))
const app = require('express')()
app.use('/', require('express-pouchdb')(PouchDB.defaults({adapter: 'memory'}), {mode: 'minimumForPouchDB', inMemoryConfig: true}))
app.listen(process.argv[2], '127.0.0.1')
`

// installPouchdb installs PouchDB Server, from npm, and returns its directory.
func installPouchdb(t *testing.T) string {
	t.Helper()
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("there is no npm")
	}
	dir := cache(t, "pouchdb-4.2.0")
	if !there(filepath.Join(dir, "complete")) {
		install(t, dir, nil, npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "express@4", "express-pouchdb@4.2.0", "pouchdb-core@7",
			"pouchdb-adapter-memory@7", "pouchdb-adapter-http@7", "pouchdb-mapreduce@7", "pouchdb-replication@7")
		if err := os.WriteFile(filepath.Join(dir, "complete"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "server.js"), []byte(pouchdbServer), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestChangesFeed: a document database, by its feed of changes: deletions are in it.
func TestChangesFeed(t *testing.T) {
	dir := installPouchdb(t)
	port := freePort(t)
	url := "http://127.0.0.1:" + port
	serve(t, dir, nil, url, "node", "server.js", port)
	must(t, http.MethodPut, url+"/shop", nil, "")
	put := func(id, rev string, total float64, status string) {
		t.Helper()
		doc := map[string]any{"customer": "Customer – ü", "total": total, "status": status}
		if rev != "" {
			doc["_rev"] = rev
		}
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		must(t, http.MethodPut, url+"/shop/"+id, nil, string(text))
	}
	for i := range 250 {
		put(fmt.Sprintf("order-%d", i+1), "", float64(i)+0.25, "open")
	}
	// The database tells what it has by another way than the feed: all documents.
	type docs struct {
		Rows []struct {
			Doc struct {
				ID     string  `json:"_id"`
				Rev    string  `json:"_rev"`
				Total  float64 `json:"total"`
				Status string  `json:"status"`
			} `json:"doc"`
		} `json:"rows"`
	}
	all := func() (out docs) {
		if err := json.Unmarshal([]byte(must(t, http.MethodGet, url+"/shop/_all_docs?include_docs=true", nil, "")), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	server := func() (out []string) {
		for _, row := range all().Rows {
			out = append(out, fmt.Sprintf("%s | %s | %.2f | %s", row.Doc.ID, row.Doc.Rev, row.Doc.Total, row.Doc.Status))
		}
		slices.Sort(out)
		return out
	}

	u := newUser(t)
	u.millrace("init", url+"/shop/_changes?include_docs=true&limit=100", "-o", "shop.yaml", "--pipeline", "shop")
	if text := u.read("shop.yaml"); !strings.Contains(text, "deletes: {when: deleted == true}") {
		t.Errorf("a feed of changes has deletions in it:\n%s", text)
	}
	table := func() []string { return u.table("shop", `SELECT id, rev, printf('%.2f', total), status FROM shop`) }
	u.millrace("preview", "shop.yaml")
	u.millrace("record", "shop.yaml")
	u.millrace("test", "shop.yaml", "--update")
	u.millrace("run", "shop.yaml", "--once", "--listen", "", "--log-level", "warn")
	same(t, "after one pass", server, table)

	u.change("shop.yaml", "every: 5m", "every: 500ms")
	u.change("shop.yaml", "{requests: 5, per: 1s}", "{requests: 100, per: 1s}")
	stop := u.run("run", "shop.yaml", "--listen", "")
	for i, row := range all().Rows {
		switch {
		case i%5 == 0:
			put(row.Doc.ID, row.Doc.Rev, float64(i)+0.5, "paid")
		case i%17 == 1:
			must(t, http.MethodDelete, url+"/shop/"+row.Doc.ID+"?rev="+row.Doc.Rev, nil, "")
		}
		if i%50 == 0 {
			put(fmt.Sprintf("late-%d", i), "", 1, "open")
		}
	}
	same(t, "after 50 revisions, 12 deletions and 5 additions", server, table)
	stop()
	same(t, "after it has stopped", server, table)
}
