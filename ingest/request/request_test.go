package request_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/pipeline"
)

func stream() *pipeline.Ingest {
	return &pipeline.Ingest{
		HTTP: pipeline.HTTP{BaseURL: "https://api.test/v2/", Headers: map[string]pipeline.Secret{
			"x-page": "p{cursor}", "X-Since": "{since}", "X-Same": "{other}",
		}},
		Path:        "/in/{region}/items",
		Query:       map[string][]string{"filter": {"updated >= '{since}'"}, "tag[]": {"a", "b{cursor}"}, "brace": {"{other}"}},
		Paginate:    pipeline.Paginate{Keyset: &pipeline.Keyset{Field: []string{"id"}}},
		Incremental: &pipeline.Incremental{Field: "at"},
		Slices:      &pipeline.Slices{Name: "region", Values: []string{"a/b"}},
	}
}

func fill(t *testing.T, in *pipeline.Ingest, values request.Values) *request.Request {
	t.Helper()
	tmpl, err := request.New(in, "a/b")
	if err != nil {
		t.Fatal(err)
	}
	r, err := tmpl.Fill(values)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestPlaceholders: they are filled in wherever they stand, and what holds one that stands for nothing is left out.
//
// Guards against dlt-hub/dlt#1881, faucet-hq/faucet-stream#536.
func TestPlaceholders(t *testing.T) {
	r := fill(t, stream(), request.Values{"since": request.Text("2024-01-01 +x"), "cursor": request.Integer(7)})
	want := "https://api.test/v2/in/a%2Fb/items?brace=%7Bother%7D&filter=updated+%3E%3D+%272024-01-01+%2Bx%27&tag%5B%5D=a&tag%5B%5D=b7"
	if r.URL.String() != want || r.Method != http.MethodGet || r.Body != nil {
		t.Errorf("%s %s with %d bytes, want GET %s", r.Method, r.URL, len(r.Body), want)
	}
	if d := cmp.Diff(http.Header{"X-Page": {"p7"}, "X-Since": {"2024-01-01 +x"}}, r.Header); d != "" {
		t.Error(d)
	}
	r = fill(t, stream(), request.Values{})
	if want = "https://api.test/v2/in/a%2Fb/items?brace=%7Bother%7D&tag%5B%5D=a"; r.URL.String() != want {
		t.Errorf("%s, want %s", r.URL, want)
	}
	if d := cmp.Diff(http.Header{"X-Page": nil, "X-Since": nil}, r.Header); d != "" {
		t.Error(d)
	}
}

// TestBodies: what a body may hold, and what is left out of it.
//
// Guards against dlt-hub/dlt#1881.
func TestBodies(t *testing.T) {
	values := request.Values{
		"since": request.Digits("1700000000"), "cursor": request.JSON(jsontext.Value(`["x", 2]`)), "limit": request.Integer(50),
	}
	for name, c := range map[string]struct {
		body        pipeline.Body
		kind        string
		want, empty string // with values, and without
	}{
		"json": {
			pipeline.Body{JSON: []byte(`{"a":"{since}","b":"{since:text}","c":"from {since}","d":{"e":["{cursor}",1,null,"{other}"]},"f":"{limit}"}`)}, "application/json",
			`{"a":1700000000,"b":"1700000000","c":"from 1700000000","d":{"e":[["x", 2],1,null,"{other}"]},"f":50}`,
			`{"d":{"e":[1,null,"{other}"]}}`,
		},
		"graphql": {
			pipeline.Body{GraphQL: "{ a {cursor} }", JSON: []byte(`{"after":"{cursor}","n":1}`)}, "application/json",
			`{"query":"{ a {cursor} }","variables":{"after":["x", 2],"n":1}}`, `{"query":"{ a {cursor} }","variables":{"n":1}}`,
		},
		"form": {
			pipeline.Body{Form: map[string][]string{"a": {"{since}", "b&c"}}}, "application/x-www-form-urlencoded",
			"a=1700000000&a=b%26c", "a=b%26c",
		},
		"text":     {pipeline.Body{Text: "<q>{limit}</q>", Type: "application/xml"}, "application/xml", "<q>50</q>", "<q></q>"},
		"no place": {pipeline.Body{JSON: []byte(`["{limit}"]`)}, "application/json", `[50]`, `[]`},
	} {
		t.Run(name, func(t *testing.T) {
			in := stream()
			in.Body = &c.body
			r := fill(t, in, values)
			if string(r.Body) != c.want || r.Type != c.kind || r.Method != http.MethodPost {
				t.Errorf("%s, %s by %s; want %s, %s", r.Body, r.Type, r.Method, c.want, c.kind)
			}
			if r = fill(t, in, request.Values{}); string(r.Body) != c.empty {
				t.Errorf("without values %s, want %s", r.Body, c.empty)
			}
		})
	}
}

// TestPathNeedsValues, as a path without one is another path.
func TestPathNeedsValues(t *testing.T) {
	in := stream()
	in.Path = "/items/{cursor}"
	tmpl, err := request.New(in, "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = tmpl.Fill(request.Values{}); err == nil || !strings.Contains(err.Error(), "stands for nothing") {
		t.Errorf("error %v", err)
	}
	in.HTTP.BaseURL = "ftp://user:secret@x"
	if _, err = request.New(in, "a"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
	in.HTTP.BaseURL = "https://api.test"
	in.HTTP.Headers["X-Page"] = "{cursor}"
	delete(in.HTTP.Headers, "x-page")
	tmpl, _ = request.New(in, "a")
	if _, err = tmpl.Fill(request.Values{"cursor": request.Text("a\nb")}); err == nil {
		t.Error("a line break in a header")
	}
}
