package tool

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/cli"
)

// har is an archive of a browser that has looked at a shop: two pages of orders, its settings, a picture, and a log-in.
const har = `{"log": {"entries": [
	{"request": {"method": "POST", "url": "URL/login", "headers": []}, "response": {"status": 200, "headers": [], "content": {"mimeType": "application/json", "text": "{}"}}},
	{"request": {"method": "GET", "url": "URL/logo.png", "headers": []}, "response": {"status": 200, "headers": [], "content": {"mimeType": "image/png", "text": ""}}},
	{"request": {"method": "GET", "url": "URL/v2/orders?page=1", "headers": [
		{"name": ":path", "value": "/v2/orders"}, {"name": "user-agent", "value": "Browser/1"}, {"name": "sec-fetch-mode", "value": "cors"},
		{"name": "authorization", "value": "Bearer hush-hush-token"}, {"name": "accept", "value": "application/json"}]},
	 "response": {"status": 200, "headers": [], "content": {"mimeType": "application/json",
		"text": "{\"data\": [{\"id\": 1, \"total\": 1.5}, {\"id\": 2, \"total\": 20.25}], \"page\": 1, \"total_pages\": 2}"}}},
	{"request": {"method": "GET", "url": "URL/v2/orders?page=2", "headers": []}, "response": {"status": 200, "headers": [], "content": {"mimeType": "application/json",
		"text": "{\"data\": [{\"id\": 3, \"total\": 3}], \"page\": 2, \"total_pages\": 2}"}}},
	{"request": {"method": "GET", "url": "URL/v2/settings", "headers": []}, "response": {"status": 200, "headers": [], "content": {"mimeType": "application/json", "text": "{\"theme\": \"dark\"}"}}}
]}}`

// TestInitFromHAR: of what a browser has recorded, one request is taken; its token does not get into the file.
func TestInitFromHAR(t *testing.T) {
	api := ordersAPI(t)
	name := writeFile(t, "session.har", strings.ReplaceAll(har, "URL", api.URL))
	t.Chdir(t.TempDir())
	code, _, stderr := invoke(t, "millrace", "init", name, "-o", "-")
	if code != cli.ExitUsage || !strings.Contains(stderr, "there are 2 to choose from; --pick") || strings.Contains(stderr, "login") || strings.Contains(stderr, "logo") {
		t.Errorf("%d %s", code, stderr)
	}
	code, stdout, stderr := invoke(t, "millrace", "init", name, "--pick", "/v2/orders", "-o", "shop.yaml", "--pipeline", "shop")
	if code != 0 {
		t.Fatalf("%d %s%s", code, stdout, stderr)
	}
	text, err := os.ReadFile("shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`auth: {bearer: "${TOKEN}"}`, "headers: {Accept: application/json}", "{page: {param: page, stop: {pages: total_pages}}}"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(string(text)+stdout+stderr, "hush-hush") || strings.Contains(string(text), "Browser") {
		t.Errorf("%s%s%s", text, stdout, stderr)
	}
	t.Setenv("TOKEN", "hush-hush-token")
	if code, _, stderr = invoke(t, "millrace", "run", "shop.yaml", "--once", "--listen", ""); code != 0 || rowsOf(t, ".millrace/shop/millrace.db", "orders") != 45 {
		t.Errorf("%d %s", code, stderr)
	}
}

// TestInitFromRecordedAnswers: with --recorded nobody is asked.
func TestInitFromRecordedAnswers(t *testing.T) {
	name := writeFile(t, "session.har", strings.ReplaceAll(har, "URL", "http://nobody.test"))
	code, stdout, stderr := invoke(t, "millrace", "init", name, "--pick", "/v2/orders", "--recorded", "-o", "-")
	if code != 0 {
		t.Fatalf("%d %s", code, stderr)
	}
	for _, want := range []string{"base_url: ", "records: data", "key: id", "total_pages", "        total: "} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %s in\n%s", want, stdout)
		}
	}
	if code, _, stderr := invoke(t, "millrace", "init", "http://nobody.test", "--recorded"); code != cli.ExitUsage || !strings.Contains(stderr, "HTTP Archive") {
		t.Errorf("%d %s", code, stderr)
	}
}

// TestInitFromOpenAPI: a description, fetched or in a file, JSON or YAML, leads to its resource.
func TestInitFromOpenAPI(t *testing.T) {
	orders := ordersAPI(t)
	document := fmt.Sprintf("openapi: 3.0.3\nservers:\n  - url: %s/v2\npaths:\n  /orders:\n    get: {summary: All orders}\n  /orders/{id}:\n    get: {summary: One order}\n  /customers:\n    get: {}\n", orders.URL)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(document)) }))
	defer server.Close()
	for _, from := range []string{server.URL + "/openapi.yaml", writeFile(t, "openapi.yaml", document)} {
		code, _, stderr := invoke(t, "millrace", "init", from, "-o", "-")
		if code != cli.ExitError || !strings.Contains(stderr, orders.URL+"/v2/orders  All orders") || !strings.Contains(stderr, "--pick") {
			t.Errorf("%s: %d %s", from, code, stderr)
		}
		code, stdout, stderr := invoke(t, "millrace", "init", from, "--pick", "/orders", "--bearer", "hush-hush-token", "-o", "-")
		if code != 0 || !strings.Contains(stdout, "path: /orders") || !strings.Contains(stdout, "base_url: ") {
			t.Errorf("%s: %d %s%s", from, code, stdout, stderr)
		}
	}
	code, _, stderr := invoke(t, "millrace", "init", writeFile(t, "openapi.json", `{"openapi": "3.0.0", "paths": {"/orders": {"get": {}}}}`))
	if code != cli.ExitUsage || !strings.Contains(stderr, "https://HOST/orders") {
		t.Errorf("%d %s", code, stderr)
	}
	if code, _, stderr = invoke(t, "millrace", "init", writeFile(t, "x.yaml", "a: 1")); code != cli.ExitUsage || !strings.Contains(stderr, "neither an HTTP Archive (HAR) nor an OpenAPI document") {
		t.Errorf("%d %s", code, stderr)
	}
}
