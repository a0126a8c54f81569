package ingest_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
)

// TestFormats: what is no JSON becomes records.
func TestFormats(t *testing.T) {
	for name, c := range map[string]struct {
		ingest, kind, body string
		want               []string // values
	}{
		"CSV by its type": {
			"key: id", "text/csv; charset=iso-8859-1", "id,name\r\n1,\"M\xfcller, \"\"M\"\"\"\r\n2,\r\n",
			[]string{`{"id":"1","name":"Müller, \"M\""}`, `{"id":"2","name":""}`},
		},
		"CSV as the file says": {
			`key: id, format: {csv: {delimiter: tab, names: [id, name]}}`, "application/octet-stream", "1\ta\n2\tb\n",
			[]string{`{"id":"1","name":"a"}`, `{"id":"2","name":"b"}`},
		},
		"XML": {
			`key: id, records: feed.entry`, "application/atom+xml", `<?xml version="1.0"?><feed><title>x</title><entry n="1"><id>1</id></entry><entry n="2"><id>2</id></entry></feed>`,
			[]string{`{"@n":"1","id":"1"}`, `{"@n":"2","id":"2"}`},
		},
		"XML, with the next page": {
			`key: id, records: r.items.i, format: xml, paginate: {cursor: {next: r.next, param: c}}`, "text/plain",
			`<r><items><i><id>1</id></i><i><id>2</id></i></items><next></next></r>`, []string{`{"id":"1"}`, `{"id":"2"}`},
		},
		"rows with a header": {
			`key: id, records: {rows: $}`, "application/json", `[["id","n"],["1",2],["2",null]]`, []string{`{"id":"1","n":2}`, `{"id":"2","n":null}`},
		},
		"rows whose names follow": {
			`key: id, records: {rows: data, columns: meta}`, "application/json", `{"data":[[1,2],[2,3]],"meta":[{"name":"id"},{"name":"n"}]}`,
			[]string{`{"id":1,"n":2}`, `{"id":2,"n":3}`},
		},
		"rows without names": {
			`key: id, records: {rows: $, names: [id, n]}`, "application/json", `[[1,2],[2,3]]`, []string{`{"id":1,"n":2}`, `{"id":2,"n":3}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStyle(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
				w.Header().Set("Content-Type", c.kind)
				_, _ = io.WriteString(w, c.body)
			})
			k := testkafka.New(t)
			r := start(t, streamFrom(t, k.ListenAddrs(), s.URL, "path: /items, "+c.ingest), "one", testConfig())
			r.awaitPass(t)
			r.stop()
			got := map[string]bool{}
			for _, rec := range testkit.Records(t, k.ListenAddrs(), "shop.items.raw") {
				got[string(rec.Value)] = true
			}
			want := map[string]bool{}
			for _, v := range c.want {
				want[v] = true
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestContentCodings: each that is offered is undone, an error that is packed is read, and so is a packed file.
func TestContentCodings(t *testing.T) {
	const body = `[{"id":1},{"id":2}]`
	packed := func(w io.WriteCloser, b *bytes.Buffer) []byte {
		_, _ = io.WriteString(w, body)
		_ = w.Close()
		return b.Bytes()
	}
	for coding, pack := range map[string]func() []byte{
		"gzip":    func() []byte { b := &bytes.Buffer{}; return packed(gzip.NewWriter(b), b) },
		"br":      func() []byte { b := &bytes.Buffer{}; return packed(brotli.NewWriter(b), b) },
		"zstd":    func() []byte { b := &bytes.Buffer{}; w, _ := zstd.NewWriter(b); return packed(w, b) },
		"deflate": func() []byte { b := &bytes.Buffer{}; return packed(zlib.NewWriter(b), b) },
		"": func() []byte { // a file
			b := &bytes.Buffer{}
			w := gzip.NewWriter(b)
			_, _ = io.WriteString(w, "{\"id\":1}\n{\"id\":2}\n")
			_ = w.Close()
			return b.Bytes()
		},
	} {
		t.Run(coding, func(t *testing.T) {
			t.Parallel()
			s := newStyle(t, func(w http.ResponseWriter, r *http.Request, _ string) {
				if coding != "" && coding != "deflate" && !strings.Contains(r.Header.Get("Accept-Encoding"), coding) {
					t.Errorf("%s is not offered", coding)
				}
				w.Header().Set("Content-Type", "application/octet-stream")
				if coding != "" {
					w.Header().Set("Content-Encoding", coding)
				}
				_, _ = w.Write(pack())
			})
			k := testkafka.New(t)
			text := "path: /items, key: id"
			if coding == "" {
				text += ", format: ndjson"
			}
			r := start(t, streamFrom(t, k.ListenAddrs(), s.URL, text), "one", testConfig())
			r.awaitPass(t)
			r.stop()
			if d := cmp.Diff(upTo(2), keysOf(t, k.ListenAddrs())); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestBodiesAreBounded: one that unpacks to more than max_body is an error that says so, and is not kept.
func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	s := newStyle(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write(bytes.Repeat([]byte(" "), 10<<20))
		_, _ = io.WriteString(z, `[{"id":1}]`)
		_ = z.Close()
	})
	k := testkafka.New(t)
	r := start(t, streamFrom(t, k.ListenAddrs(), s.URL, "path: /items, key: id, max_body: 1MiB"), "one", testConfig())
	testkit.Eventually(t, patience, testkit.That("health says so", func() bool { return strings.Contains(r.Health.Waiting()["ingest"], "http.max_body") }))
	r.stop()
	if n := len(testkit.Records(t, k.ListenAddrs(), "shop.items.raw")); n > 0 {
		t.Errorf("%d records", n)
	}
}
