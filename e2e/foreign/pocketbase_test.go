//go:build integration

package foreign_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	pocketbaseVersion  = "v0.36.8"
	pocketbaseUser     = "admin@example.com"
	pocketbasePassword = "hush-hush-123"
)

// installPocketbase builds it, from the Go module proxy, and returns the path of its binary.
func installPocketbase(t *testing.T) string {
	t.Helper()
	compiler, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go")
	}
	dir := cache(t, "pocketbase-"+pocketbaseVersion)
	binary := filepath.Join(dir, "pocketbase")
	if there(binary) {
		return binary
	}
	module := "module foreign\n\ngo 1.26\n\nrequire github.com/pocketbase/pocketbase " + pocketbaseVersion + "\n"
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(module), 0o600); err != nil {
		t.Fatal(err)
	}
	install(t, dir, []string{"GOFLAGS=-mod=mod", "CGO_ENABLED=0"}, compiler, "build", "-trimpath", "-o", "pocketbase", "github.com/pocketbase/pocketbase/examples/base")
	return binary
}

// TestPocketBase: a back end that wants a login.
func TestPocketBase(t *testing.T) {
	binary := installPocketbase(t)
	data := t.TempDir()
	out, err := exec.CommandContext(t.Context(), binary, "superuser", "upsert", pocketbaseUser, pocketbasePassword, "--dir", data, "--dev=false").CombinedOutput()
	if err != nil {
		t.Fatalf("superuser: %v %s", err, lastOf(string(out)))
	}
	port := freePort(t)
	url := "http://127.0.0.1:" + port
	serve(t, data, nil, url+"/api/health", binary, "serve", "--http", "127.0.0.1:"+port, "--dir", data, "--dev=false")

	const login = "/api/collections/_superusers/auth-with-password"
	var session struct{ Token string }
	answer := must(t, http.MethodPost, url+login, nil, fmt.Sprintf(`{"identity": %q, "password": %q}`, pocketbaseUser, pocketbasePassword))
	if err := json.Unmarshal([]byte(answer), &session); err != nil {
		t.Fatal(err)
	}
	as := map[string]string{"Authorization": session.Token}
	must(t, http.MethodPost, url+"/api/collections", as, `{"name": "orders", "type": "base", "fields": [{"name": "customer", "type": "text"}, {"name": "total", "type": "number"},
		{"name": "paid", "type": "bool"}, {"name": "created", "type": "autodate", "onCreate": true}, {"name": "updated", "type": "autodate", "onCreate": true, "onUpdate": true}]}`)
	records := url + "/api/collections/orders/records"
	var ids []string
	add := func(i int) {
		t.Helper()
		var made struct{ ID string }
		text := must(t, http.MethodPost, records, as, fmt.Sprintf(`{"customer": "Customer %d – ü", "total": %d.%02d, "paid": %t}`, i%17, i*3, i%100, i%2 == 0))
		if err := json.Unmarshal([]byte(text), &made); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, made.ID)
	}
	for i := range 120 {
		add(i + 1)
	}

	u := newUser(t, "PB_PASSWORD="+pocketbasePassword)
	u.millrace("init", records, "-o", "shop.yaml", "--pipeline", "shop",
		"--auth", `{login: {path: `+login+`, body: {json: {identity: `+pocketbaseUser+`, password: "${PB_PASSWORD}"}}, field: token, prefix: ""}}`)
	if text := u.read("shop.yaml"); strings.Contains(text, pocketbasePassword) || !strings.Contains(text, "${PB_PASSWORD}") {
		t.Errorf("the file should have a reference in the place of the password:\n%s", text)
	}
	if out := u.millrace("preview", "shop.yaml", "orders"); !strings.Contains(out, "0 without a row, 0 dead letters") {
		t.Errorf("preview:\n%s", out)
	}
	u.change("shop.yaml", "# deletes: complete_read", "deletes: complete_read")
	u.millrace("record", "shop.yaml")
	for _, name := range []string{"0001.http", "0002.http"} {
		if text := u.read(filepath.Join("testdata", "orders", name)); strings.Contains(text, pocketbasePassword) || strings.Contains(text, session.Token) {
			t.Errorf("a secret is in the cassette:\n%s", text)
		}
	}
	u.millrace("test", "shop.yaml", "--update")
	u.millrace("run", "shop.yaml", "--once", "--listen", "", "--log-level", "warn")
	server := func() []string {
		return query(t, filepath.Join(data, "data.db"), "SELECT id, customer, CAST(total AS REAL), CAST(paid AS INTEGER), replace(created, 'Z', ''), replace(updated, 'Z', '') FROM orders")
	}
	table := func() []string {
		return u.table("shop", "SELECT id, customer, CAST(total AS REAL), CAST(paid AS INTEGER), created || '', updated || '' FROM orders")
	}
	same(t, "after one pass", server, table)

	u.change("shop.yaml", "every: 5m", "every: 500ms")
	u.change("shop.yaml", "{requests: 5, per: 1s}", "{requests: 100, per: 1s}")
	stop := u.run("run", "shop.yaml", "--listen", "")
	for i := range 30 {
		must(t, http.MethodPatch, records+"/"+ids[i*2], as, fmt.Sprintf(`{"total": %d.5, "paid": true}`, i))
		if i%5 == 0 {
			must(t, http.MethodDelete, records+"/"+ids[i*2+1], as, "")
			add(1000 + i)
		}
	}
	same(t, "after 30 revisions, 6 deletions and 6 additions", server, table)
	stop()
	same(t, "after it has stopped", server, table)
}
