package cassette_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/cassette"
)

func TestRoundTrip(t *testing.T) {
	for name, x := range map[string]*cassette.Exchange{
		"json":        {Method: "GET", URL: "https://a.test/b?c=1", Status: 200, Header: http.Header{"Link": {`<x>; rel="next"`, "<y>"}}, Body: []byte("{\n  \"a\": 1.10,\n  \"b\": \"ü\"\n}\n")},
		"on one line": {Method: "GET", URL: "https://a.test/b?c=1", Status: 200, Header: http.Header{}, Body: []byte(`{"a":1.10,"b":[{"c":"\u00fc"}]}`)},
		"post":        {Method: "POST", URL: "https://a.test/b", Sent: []byte(`{"query":"x"}`), Status: 200, Header: http.Header{}, Body: []byte("[]\n")},
		"text":        {Method: "GET", URL: "https://a.test/b", Status: 429, Header: http.Header{"Retry-After": {"1"}}, Body: []byte("slow\n\ndown")},
		"lines":       {Method: "GET", URL: "https://a.test/b", Status: 200, Header: http.Header{}, Body: []byte("{\"a\":1}\n{\"a\":2}\n")},
		"bytes":       {Method: "GET", URL: "https://a.test/b", Status: 200, Header: http.Header{"Content-Type": {"text/csv; charset=iso-8859-1"}}, Body: []byte{'a', 0xe4, '\n'}},
		"empty":       {Method: "GET", URL: "https://a.test/b", Status: 204, Header: http.Header{}},
	} {
		got, err := cassette.Unmarshal(x.Marshal())
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, x.Marshal())
			continue
		}
		if got.Method != x.Method || got.URL != x.URL || got.Status != x.Status || string(got.Body) != string(x.Body) ||
			string(got.Sent) != string(x.Sent) || !cmp.Equal(got.Header, x.Header) {
			t.Errorf("%s:\n%+v\n%+v", name, got, x)
		}
	}
	for _, text := range []string{"", "GET x", "GET\n\nHTTP 200\n", "GET x\n\nHTTP abc\n", "GET x\n\nHTTP 200\nno header\n"} {
		if x, err := cassette.Unmarshal([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, x)
		}
	}
}

func get(t *testing.T, tr http.RoundTripper, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestRecordAndPlay: what was recorded is given again, the same request as often as it was made.
func TestRecordAndPlay(t *testing.T) {
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Set-Cookie", "session=secret")
		w.Header().Set("X-Ratelimit-Remaining", "9")
		_, _ = io.WriteString(w, `{"n":`+strings.Repeat("1", n)+`,"q":"`+r.URL.RawQuery+`","body":`+string(body)+"}")
	}))
	defer s.Close()
	var all []*cassette.Exchange
	rec := &cassette.Recorder{Bodies: 1 << 20, Each: func(x cassette.Exchange) {
		x.Header = cassette.Plain(x.Header)
		x.URL = strings.ReplaceAll(x.URL, "hush", "[secret]")
		all = append(all, &x)
	}}
	get(t, rec, "GET", s.URL+"/a?x=1&key=hush", "1")
	get(t, rec, "GET", s.URL+"/a?x=1&key=hush", "1")
	get(t, rec, "POST", s.URL+"/a", `{"b": 2, "a": 1}`)
	dir := filepath.Join(t.TempDir(), "tape")
	for range 2 { // the second time in the place of the first
		if err := cassette.Write(dir, all); err != nil {
			t.Fatal(err)
		}
	}
	read, err := cassette.Read(dir)
	if err != nil || len(read) != 3 {
		t.Fatalf("%d exchanges, %v", len(read), err)
	}
	if h := read[0].Header; h.Get("Set-Cookie") != "" || h.Get("X-Ratelimit-Remaining") != "9" {
		t.Errorf("headers %v", h)
	}
	p := cassette.NewPlayer(read)
	for i, want := range []string{`"n":1,`, `"n":11,`, `"n":11,`} {
		if status, body := get(t, p, "GET", "http://elsewhere.test/a?key=other&x=1", "1"); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%d: %d %s, want %s", i, status, body, want)
		}
	}
	if un := p.Unasked(); len(un) != 1 || un[0] != "POST /a" {
		t.Errorf("unasked: %v", un)
	}
	if status, body := get(t, p, "POST", "http://elsewhere.test/a", `{"a":1,"b":2}`); status != 200 || !strings.Contains(body, `"n":111`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body := get(t, p, "GET", "http://elsewhere.test/a?x=2", ""); status != cassette.NotRecorded || !strings.Contains(body, "GET /a?x=1") {
		t.Errorf("%d %s", status, body)
	}
	if m := p.Misses(); len(m) != 1 || len(p.Asked()) != 5 {
		t.Errorf("misses %v, asked %v", m, p.Asked())
	}
}

// TestPlayerAt: what is asked for goes to where the answers' links lead, whatever the file's host is here.
func TestPlayerAt(t *testing.T) {
	for recorded, want := range map[string]string{
		"https://acme.example.com:8443/v2/orders?limit=2": "https://acme.example.com:8443/v3",
		"/v2/orders": "http://1.example.com/v3",
	} {
		player := cassette.NewPlayer([]*cassette.Exchange{{Method: "GET", URL: recorded}})
		if got := player.At("http://1.example.com/v3"); got != want {
			t.Errorf("recorded at %s: %s, not %s", recorded, got, want)
		}
	}
}

// TestRecorderAsksForPlainBodies: what is kept can be read by people, whatever codings the API and the client know.
func TestRecorderAsksForPlainBodies(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") == "identity" {
			_, _ = w.Write([]byte(`{"plain": true}`))
			return
		}
		w.Header().Set("Content-Encoding", "br")
		_, _ = w.Write([]byte("\x1b\x0e"))
	}))
	defer server.Close()
	var kept cassette.Exchange
	recorder := &cassette.Recorder{Each: func(x cassette.Exchange) { kept = x }, Bodies: 1000}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("sent"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "br, gzip")
	resp, err := recorder.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if string(kept.Body) != `{"plain": true}` || string(kept.Sent) != "sent" || req.Header.Get("Accept-Encoding") != "br, gzip" {
		t.Errorf("%+v", kept)
	}
}
