package ingest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
)

// TestNotModified: a pass asks whether its page has changed; 304 ends it as complete. Nothing is written twice when it
// then changes, and nothing is missed, whatever the API has: an ETag, or a Last-Modified that is old enough to be one.
func TestNotModified(t *testing.T) {
	for name, header := range map[string]string{"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, asked, spared := 3, 0, 0
			began := time.Now().UTC().Add(-time.Hour)
			s := newStyle(t, func(w http.ResponseWriter, r *http.Request, _ string) {
				tag := `W/"` + strings.Repeat("x", n) + `"`
				if name == "Last-Modified" {
					tag = began.Add(time.Duration(n) * time.Second).Format(http.TimeFormat)
				}
				w.Header().Set(name, tag)
				asked++
				if r.Header.Get(header) == tag {
					spared++
					w.WriteHeader(http.StatusNotModified)
					return
				}
				answer(w, ids(1, n))
			})
			k := testkafka.New(t)
			p := streamFrom(t, k.ListenAddrs(), s.URL, "path: /items, key: id, every: 20ms")
			r := start(t, p, "one", testConfig())
			r.awaitPasses(t, 5)
			r.stop()
			s.mu.Lock()
			if spared != asked-1 {
				t.Errorf("%d of %d answers were spared", spared, asked)
			}
			asked, spared = 0, 0
			s.mu.Unlock()
			r = start(t, p, "one", testConfig()) // another process asks too
			r.awaitPasses(t, 2)
			s.mu.Lock()
			if spared != asked {
				t.Errorf("after a restart %d of %d answers were spared", spared, asked)
			}
			n = 5
			s.mu.Unlock()
			testkit.Eventually(t, patience, testkit.That("what is new", func() bool { return len(keysOf(t, k.ListenAddrs())) >= 5 }))
			r.stop()
			if keys := keysOf(t, k.ListenAddrs()); len(keys) != 5 {
				t.Errorf("keys %v: what had not changed was written again", keys)
			}
		})
	}
}

// TestFirstPageDoesNotSpeakForTheOthers: where a pass has several pages, or a header says whether another follows, none
// of them is asked for on a condition.
func TestFirstPageDoesNotSpeakForTheOthers(t *testing.T) {
	for name, c := range map[string]struct {
		ingest string
		pages  int
	}{
		"several pages": {"paginate: {cursor: {next: next, param: page}}", 2},
		"a Link header": {"paginate: {link: {absent_ends: true}}", 1},
		"a body":        {"body: {json: {}}", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStyle(t, func(w http.ResponseWriter, r *http.Request, _ string) {
				if r.Header.Get("If-None-Match") != "" {
					t.Error("asked on a condition")
				}
				w.Header().Set("ETag", `"same"`)
				body := map[string]any{"data": ids(1, 2), "next": nil}
				if c.pages == 2 && r.URL.Query().Get("page") == "" {
					body["next"] = "2"
				} else if c.pages == 2 {
					body["data"] = ids(3, 4)
				}
				answer(w, body)
			})
			k := testkafka.New(t)
			r := start(t, streamFrom(t, k.ListenAddrs(), s.URL, "path: /items, records: data, key: id, every: 20ms, "+c.ingest), "one", testConfig())
			r.awaitPasses(t, 3)
			r.stop()
		})
	}
}
