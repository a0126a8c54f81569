package tool

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/cli"
)

// ordersAPI has 45 orders, of which it shows 20 a page to whoever has the token.
func ordersAPI(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer hush-hush-token" {
			http.Error(w, `{"error":"no such token"}`, http.StatusUnauthorized)
			return
		}
		page, err := strconv.Atoi(r.FormValue("page"))
		if err != nil {
			page = 1
		}
		var data []map[string]any
		for i := (page - 1) * 20; i < min(page*20, 45); i++ {
			data = append(data, map[string]any{
				"id": i + 1, "status": "open", "amount": float64(i) + 0.5, "customer": map[string]any{"email": fmt.Sprintf("a%d@example.com", i)},
				"updated_at": fmt.Sprintf("2024-01-%02dT10:00:00Z", i/2+1),
			})
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"data": data, "page": page, "total_pages": 3})
	}))
	t.Cleanup(s.Close)
	return s
}

// TestInit: the file that it writes validates and runs to the end, with every record in the table, and holds no secret.
func TestInit(t *testing.T) {
	api := ordersAPI(t)
	t.Setenv("SHOP_TOKEN", "hush-hush-token")
	t.Chdir(t.TempDir())
	code, stdout, stderr := invoke(t, "millrace", "init", api.URL+"/v2/orders", "--bearer", "${SHOP_TOKEN}", "-o", "shop.yaml", "--yes", "--pipeline", "shop")
	if code != 0 || !strings.Contains(stdout, "next: millrace preview shop.yaml orders") || !strings.Contains(stderr, "200 "+api.URL+"/v2/orders  (what the API answers)") {
		t.Fatalf("%d\n%s\n%s", code, stdout, stderr)
	}
	text, err := os.ReadFile("shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text)+stdout+stderr, "hush-hush") {
		t.Errorf("the token is shown:\n%s%s%s", text, stdout, stderr)
	}
	for _, want := range []string{"# yaml-language-server: $schema=https://", `auth: {bearer: "${SHOP_TOKEN}"}`, "records: data", "key: id", "{page: {param: page, stop: {pages: total_pages}}}", "customer_email: customer.email"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if code, _, stderr = invoke(t, "millrace", "validate", "shop.yaml"); code != 0 {
		t.Fatalf("validate: %s", stderr)
	}
	if code, _, stderr = invoke(t, "millrace", "run", "shop.yaml", "--once", "--listen", ""); code != 0 {
		t.Fatalf("run --once: %d %s", code, stderr)
	}
	if n := rowsOf(t, ".millrace/shop/millrace.db", "orders"); n != 45 {
		t.Errorf("%d rows, want 45", n)
	}
}

func TestInitRefuses(t *testing.T) {
	api := ordersAPI(t)
	dir := t.TempDir()
	there := filepath.Join(dir, "there.yaml")
	if err := os.WriteFile(there, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"init", "shop.example.com"}, cli.ExitUsage, "not an absolute http or https URL"},
		{[]string{"init", api.URL, "--bearer", "${NO_SUCH_TOKEN}"}, cli.ExitUsage, "no variable NO_SUCH_TOKEN"},
		{[]string{"init", api.URL, "-H", "no header"}, cli.ExitUsage, "is no header"},
		{[]string{"init", api.URL + "/v2/orders", "-o", filepath.Join(dir, "x.yaml")}, cli.ExitError, "401"},
		{[]string{"init", api.URL + "/v2/orders", "--bearer", "hush-hush-token", "-o", there}, cli.ExitUsage, "there already; --yes"},
	} {
		code, _, stderr := invoke(t, "millrace", c.args...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: %d %s, want %d %s", c.args, code, stderr, c.code, c.want)
		}
	}
	code, stdout, stderr := invoke(t, "millrace", "init", api.URL+"/v2/orders?api_key=abcdefgh1234", "-H", "Authorization: Bearer hush-hush-token", "-H", "Accept: application/json", "-o", "-")
	if code != 0 || strings.Contains(stdout+stderr, "hush-hush") || !strings.Contains(stdout, `auth: {bearer: "${TOKEN}"}`) || !strings.Contains(stdout, "headers: {Accept: application/json}") {
		t.Errorf("%d %s %s", code, stdout, stderr)
	}
}
