package ingest

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
)

// askingIngest is a stream with something in each place of a request.
func askingIngest() pipeline.Ingest {
	return pipeline.Ingest{
		HTTP: pipeline.HTTP{
			BaseURL: "https://api.test", Headers: map[string]pipeline.Secret{"X-Page": "{cursor}", "X-Tenant": "a", "X-Token": "s3cret-token"},
			Secrets: []pipeline.Reference{{Name: "TOKEN", Value: "s3cret-token"}},
		},
		Path: "/items", Query: map[string][]string{"q": {"{since}"}, "k": {"a", "b"}, "token": {"s3cret-token"}}, Key: []string{"id"},
		Body:        &pipeline.Body{JSON: []byte(`{"a":"{cursor}","b":1}`)},
		Paginate:    pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"next"}, Placed: true}},
		Incremental: &pipeline.Incremental{Field: "at", Start: "2024-01-01"},
	}
}

func hashOf(t *testing.T, in pipeline.Ingest) string {
	t.Helper()
	p := &pipeline.Pipeline{Name: "shop", Streams: []pipeline.Stream{{Name: "items", Ingest: in}}, Kafka: pipeline.Kafka{MaxRecordBytes: 1 << 20}}
	i, err := New(p, DefaultConfig(), stage.Env{Metrics: prometheus.NewRegistry(), Health: &stage.Health{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := i.newSlice(&p.Streams[0], "", nil, cursor.Cursor{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s.requestHash(cursor.Cursor{})
}

// TestWhatIsAskedForIsInTheRequestsName: a position counts for one request. Whatever changes that changes its name, but
// for the value of a secret.
func TestWhatIsAskedForIsInTheRequestsName(t *testing.T) {
	t.Parallel()
	names := map[string]string{hashOf(t, askingIngest()): "nothing"}
	for what, change := range map[string]func(in *pipeline.Ingest){
		"method":            func(in *pipeline.Ingest) { in.Method = "PUT" },
		"path":              func(in *pipeline.Ingest) { in.Path = "/other" },
		"query":             func(in *pipeline.Ingest) { in.Query["k"] = []string{"b", "a"} },
		"header":            func(in *pipeline.Ingest) { in.HTTP.Headers["X-Tenant"] = "b" },
		"place in a header": func(in *pipeline.Ingest) { in.HTTP.Headers["X-Page"] = "x{cursor}" },
		"body":              func(in *pipeline.Ingest) { in.Body.JSON = []byte(`{"a":"{cursor}","b":2}`) },
		"place in a body":   func(in *pipeline.Ingest) { in.Body.JSON = []byte(`{"c":"{cursor}","b":1}`) },
		"content type":      func(in *pipeline.Ingest) { in.Body.Type = "text/json" },
		"kind of body": func(in *pipeline.Ingest) {
			in.Body = &pipeline.Body{Form: map[string][]string{"a": {"{cursor}"}, "b": {"1"}}}
		},
		"start":              func(in *pipeline.Ingest) { in.Incremental.Start = "2024-01-02" },
		"parameter of start": func(in *pipeline.Ingest) { in.Incremental.Param = "since" },
		"parameter":          func(in *pipeline.Ingest) { in.Paginate.Cursor.Param = "cursor" },
		"first":              func(in *pipeline.Ingest) { in.Paginate.Cursor.First = "*" },
		"kind of cursor":     func(in *pipeline.Ingest) { in.Paginate.Cursor.As = pipeline.CursorParams },
		"take":               func(in *pipeline.Ingest) { in.Paginate.Cursor.Take = "c" },
		"keep":               func(in *pipeline.Ingest) { in.Paginate.Cursor.Keep = &pipeline.Keep{Field: []string{"x"}} },
		"keyset": func(in *pipeline.Ingest) {
			in.Paginate = pipeline.Paginate{Keyset: &pipeline.Keyset{Field: []string{"id"}}}
		},
		"field of the keyset": func(in *pipeline.Ingest) {
			in.Paginate = pipeline.Paginate{Keyset: &pipeline.Keyset{Field: []string{"n"}}}
		},
		"params of links": func(in *pipeline.Ingest) { in.Paginate = pipeline.Paginate{Link: &pipeline.LinkHeader{Params: true}} },
	} {
		in := askingIngest()
		change(&in)
		name := hashOf(t, in)
		if other, same := names[name]; same {
			t.Errorf("%s has the name of %s", what, other)
		}
		names[name] = what
	}
	in := askingIngest()
	in.HTTP.Headers["X-Token"], in.Query["token"], in.HTTP.Secrets[0].Value = "an0ther-token", []string{"an0ther-token"}, "an0ther-token"
	if names[hashOf(t, in)] != "nothing" {
		t.Error("another value of a secret is another request")
	}
}
