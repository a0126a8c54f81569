package probe_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/probe"
)

// TestADescriptionIsNoRecords: of an OpenAPI document the resources are listed.
func TestADescriptionIsNoRecords(t *testing.T) {
	for text, want := range map[string]string{
		`{"openapi":"3.0.0","servers":[{"url":"https://api.test/v1/"}],"paths":{"/orders":{"get":{"summary":"All orders"},"post":{}},"/orders/{id}":{"get":{}},"/jobs":{"post":{}}}}`:                       "https://api.test/v1/orders  All orders | https://api.test/v1/orders/{id}",
		`{"openapi":"3.0.0","servers":[{"url":"/v2"}],"paths":{"/orders":{"get":{}}}}`:                                                                                                                      "SERVER/v2/orders",
		"openapi: 3.1.0\nservers:\n  - url: https://api.test/v3\npaths:\n  /orders:\n    get: &list\n      summary: All orders\n      responses: {200: {description: ok}}\n  /customers:\n    get: *list\n": "https://api.test/v3/orders  All orders | https://api.test/v3/customers  All orders",
		`{"swagger":"2.0","host":"old.test","basePath":"/api","paths":{"/orders":{"get":{"summary":""}}}}`:                                                                                                  "http://old.test/api/orders  ",
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }))
		u, err := url.Parse(s.URL + "/openapi.json")
		if err != nil {
			t.Fatal(err)
		}
		_, err = probe.Run(t.Context(), probe.Options{URL: u})
		s.Close()
		found, ok := errors.AsType[*probe.DocumentError](err)
		if !ok || strings.Join(found.Endpoints, " | ") != strings.ReplaceAll(want, "SERVER", s.URL) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDocument(t *testing.T) {
	for text, want := range map[string]string{
		`{"openapi":"3.0.0","paths":{"/orders":{"get":{}}}}`:                            "/orders",
		"swagger: '2.0'\nhost: old.test\nschemes: [https]\npaths: {/orders: {get: {}}}": "https://old.test/orders",
	} {
		if found := probe.Document([]byte(text)); found == nil || strings.Join(found.Endpoints, " | ") != want {
			t.Errorf("%s: %v, want %s", text, found, want)
		}
	}
	for _, text := range []string{`{"data": []}`, "a: 1", "openapi: [", "", "[1]"} {
		if found := probe.Document([]byte(text)); found != nil {
			t.Errorf("%s is no description: %v", text, found)
		}
	}
}
