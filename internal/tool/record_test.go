package tool

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRecordALogin: the token that a login gives is a secret, though no pipeline file has it; the cassette plays all
// the same.
func TestRecordALogin(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/login":
			_ = json.NewEncoder(w).Encode(map[string]any{"user": map[string]any{"name": "me", "session": "hush-hush-session"}})
		case r.Header.Get("Authorization") != "Bearer hush-hush-session":
			http.Error(w, "no", http.StatusUnauthorized)
		default:
			_ = json.NewEncoder(w).Encode([]map[string]any{{"id": 1, "total": 10}})
		}
	}))
	defer api.Close()
	path := pipelineFile(t, api.URL)
	rewrite(t, path, `"`+api.URL+`"}`, `"`+api.URL+`", auth: {login: {path: /login, body: {json: {name: me, password: "${SHOP_PASSWORD}"}}, field: user.session}}}`)
	t.Setenv("SHOP_PASSWORD", "hush-hush-password")
	code, stdout, stderr := invoke(t, "millrace", "record", path)
	if code != 0 || !strings.Contains(stdout, "shop.test.yaml: a test of them\nnext: millrace test "+path+" --update") {
		t.Fatalf("%d %s%s", code, stdout, stderr)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "testdata", "orders", "*.http"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v %v", files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil || strings.Contains(string(text), "hush") {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
	t.Setenv("SHOP_PASSWORD", "")
	for _, args := range [][]string{{"test", path, "--update"}, {"test", path}} {
		if code, stdout, stderr := invoke(t, "millrace", args...); code != 0 || !strings.HasPrefix(stdout, "ok   as recorded") {
			t.Errorf("%v: %d %s%s", args, code, stdout, stderr)
		}
	}
	if text, err := os.ReadFile(filepath.Join(filepath.Dir(path), "shop.test.yaml")); err != nil || !strings.Contains(string(text), "- {id: 1, total: 10}") {
		t.Errorf("%v %s", err, text)
	}
}
