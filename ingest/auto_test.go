package ingest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
)

// styled is an API that shows how its pages follow one another in one way, of several.
func styled(t testing.TB, a *api, style *atomic.Value) pipeline.Stream {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := number(r, "offset")
		for _, name := range []string{"cursor", "after"} {
			if r.URL.Query().Has(name) {
				from = number(r, name)
			}
		}
		if r.URL.Query().Has("page") {
			from = 10 * (number(r, "page") - 1)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if style.Load() == "wrong" {
			from = 0 // the parameter is another one than is common
		}
		from = min(from, len(a.items))
		to := min(from+10, len(a.items))
		out := map[string]any{"data": a.items[from:to]}
		more := to < len(a.items)
		switch style.Load() {
		case "link":
			if more {
				w.Header().Set("Link", fmt.Sprintf(`</items?after=%d>; rel="next"`, to))
			}
		case "url":
			if out["next"] = nil; more {
				out["next"] = fmt.Sprintf("/items?after=%d", to)
			}
		case "cursor":
			if out["meta"] = map[string]any{"next_cursor": ""}; more {
				out["meta"] = map[string]any{"next_cursor": fmt.Sprint(to)}
			}
		case "pages":
			out["total_pages"] = (len(a.items) + 9) / 10
		case "offset":
			out["total"], out["offset"] = len(a.items), from
		case "wrong":
			out["next_cursor"] = fmt.Sprint(to)
		case "nothing":
			out["has_more"] = more
		}
		_ = json.NewEncoder(w).Encode(out)
	}))
	t.Cleanup(server.Close)
	s := a.stream("items", pipeline.Paginate{Auto: true})
	s.Ingest.HTTP.BaseURL, s.Ingest.Query = server.URL, nil
	return s
}

// TestAuto: each common style is taken from the first page, and stays, whatever later first pages show.
func TestAuto(t *testing.T) {
	for _, name := range []string{"link", "url", "cursor", "pages", "offset"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, 95)
			var style atomic.Value
			style.Store(name)
			s := styled(t, a, &style)
			c := testkafka.New(t)
			p := newPipeline(c.ListenAddrs(), s)
			r := start(t, p, "one", testConfig())
			r.awaitPass(t)
			r.stop()
			a.once(t, c.ListenAddrs())
			if log := r.log.String(); strings.Count(log, "as the first one shows") != 1 {
				t.Errorf("log:\n%s", log)
			}
			now, _ := state(t, c.ListenAddrs())
			if now.Auto == nil {
				t.Fatal("the cursor does not hold what was taken")
			}

			other := "pages"
			if name == other {
				other = "url"
			}
			style.Store(other)
			p.Streams[0].Ingest.Every = 1
			r = start(t, p, "two", testConfig())
			testkit.Eventually(t, patience, testkit.That("it asks in the way that was taken", func() bool {
				return r.metric(t, "millrace_ingest_requests_total") > 0 && (len(r.Health.Waiting()) > 0 || r.metric(t, "millrace_ingest_passes_total") > 0 || r.metric(t, "millrace_ingest_notices") > 0)
			}))
			r.stop()
			again, _ := state(t, c.ListenAddrs())
			if d := cmp.Diff(now.Auto, again.Auto); d != "" || strings.Contains(r.log.String(), "as the first one shows") {
				t.Errorf("it took something else: %s", d)
			}
		})
	}
}

// TestAutoFetchesOnePageOnly never in silence: what it took wrong, or cannot take, is told, and the pass does not end.
//
// Guards against dlt-hub/dlt#2586.
func TestAutoFetchesOnePageOnly(t *testing.T) {
	for name, words := range map[string]string{"wrong": "exactly the records of the page before", "nothing": "declare paginate"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, 95)
			var style atomic.Value
			style.Store(name)
			s := styled(t, a, &style)
			c := testkafka.New(t)
			r := start(t, newPipeline(c.ListenAddrs(), s), "one", testConfig())
			r.awaitTrouble(t, words)
		})
	}
}
