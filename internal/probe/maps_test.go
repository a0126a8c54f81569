package probe_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/probe"
)

// TestObjectsOfRecords: records that are members of an object, each under its key, are found where there are two of
// them, and at the top of an answer, too. An object of objects that are nothing alike is none, and an answer in which
// nothing can be a key is seen to be so.
func TestObjectsOfRecords(t *testing.T) {
	for body, want := range map[string]string{
		`{"101": {"id": 101}, "102": {"id": 102}}`:                 "map $",
		`{"items": {"k1": {"a": "v1"}, "k2": {"a": "v2"}}}`:        "map items",
		`{"x": {"k1": {"a": 1, "b": 2}, "k2": {"a": 3, "b": 4}}}`:  "no field",
		`{"user": {"name": "a"}, "limits": {"n": 1, "per": "1s"}}`: "object",
		`{"data": {"list": {"of": {}}}}`:                           "no field",
	} {
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
		}))
		u, err := url.Parse(api.URL + "/orders")
		if err != nil {
			t.Fatal(err)
		}
		var is string
		if found, err := probe.Run(t.Context(), probe.Options{URL: u}); err != nil {
			is = err.Error()
		} else {
			is = shapeIn(string(found.File("x", "shop.yaml", probe.Given{})))
		}
		if !strings.Contains(is, want) {
			t.Errorf("%s: %s, want %s", body, is, want)
		}
		api.Close()
	}
}

func shapeIn(file string) string {
	switch {
	case strings.Contains(file, `records: {map: "$", key_as: key`), strings.Contains(file, `records: {map: $, key_as: key`):
		return "map $"
	case strings.Contains(file, `records: {map: items, key_as: key`):
		return "map items"
	case strings.Contains(file, `records: {object: "$"}`):
		return "object"
	}
	return file
}
