package ingest_test

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
)

// TestErrorRules: what the file says is done about an answer, by its status and its body.
func TestErrorRules(t *testing.T) {
	fails := func(n, status int, body string) func(int, http.ResponseWriter, *http.Request) bool {
		return func(count int, w http.ResponseWriter, r *http.Request) bool { // the first n requests for page 2
			if r.URL.Query().Get("page") != "2" || count > n {
				return false
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	all := upTo(23)
	but := slices.Concat(all[:5], all[10:])
	for name, c := range map[string]struct {
		rules    string
		fail     func(int, http.ResponseWriter, *http.Request) bool
		want     []string
		requests int // for page 2
	}{
		"retry a 404":           {"{status: 404, do: retry}", fails(2, 404, "not yet"), all, 3},
		"wait, however often":   {`{status: 4xx, when: 'code == "quota"', do: wait, for: 1ms}`, fails(7, 400, `{"code":"quota"}`), all, 8},
		"wait, with status 200": {`{when: 'code == "quota"', do: wait, for: 1ms}`, fails(7, 200, `{"code":"quota","data":[]}`), all, 8},
		"retry, with status 200": {
			`{when: 'has(code) && code == 7', do: retry}`, fails(2, 200, `{"code":7}`), all, 3,
		},
		"skip":                  {"{status: [403, 404], do: skip}", fails(99, 403, "forbidden"), but, 1},
		"skip, with status 200": {`{when: 'code == "broken"', do: skip}`, fails(99, 200, `{"code":"broken"}`), but, 1},
		"end":                   {"{status: 404, do: end}", fails(99, 404, ""), all[:5], 1},
		"end, with status 200":  {`{when: 'code == "no such page"', do: end}`, fails(99, 200, `{"code":"no such page"}`), all[:5], 1},
		"the first that holds":  {`{status: 404, when: 'code == 1', do: fail}, {status: 404, do: end}`, fails(99, 404, `{"code":2}`), all[:5], 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			count := 0
			s := newStyle(t, func(w http.ResponseWriter, r *http.Request, _ string) {
				page, _ := strconv.Atoi(r.URL.Query().Get("page"))
				if page == 2 {
					count++
				}
				if !c.fail(count, w, r) {
					answer(w, map[string]any{"data": ids(page*5-4, min(page*5, 23))})
				}
			})
			k := testkafka.New(t)
			p := streamFrom(t, k.ListenAddrs(), s.URL, "path: /items, records: data, key: id, concurrency: 1, paginate: {page: {param: page}}, errors: ["+c.rules+"]")
			r := start(t, p, "one", testConfig())
			r.awaitPass(t)
			r.stop()
			if d := cmp.Diff(c.want, keysOf(t, k.ListenAddrs())); d != "" {
				t.Error(d)
			}
			if count != c.requests {
				t.Errorf("page 2 was asked for %d times, want %d", count, c.requests)
			}
			if passed := strings.Contains(r.log.String(), "a page was passed over"); passed != strings.HasPrefix(name, "skip") {
				t.Errorf("log:\n%s", r.log)
			}
		})
	}
}

// TestFailNeedsAnOperator: an error that would be tried again needs a person, at once; and refresh gets another token.
func TestFailNeedsAnOperator(t *testing.T) {
	t.Parallel()
	logins := 0
	s := newStyle(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		switch token := r.Header.Get("Authorization"); {
		case r.URL.Path == "/login":
			logins++
			answer(w, map[string]any{"token": strconv.Itoa(logins)})
		case token == "Bearer 1":
			http.Error(w, `{"code":"session expired"}`, http.StatusForbidden)
		default:
			http.Error(w, `{"code":"account closed"}`, http.StatusInternalServerError)
		}
	})
	k := testkafka.New(t)
	p := streamFrom(t, k.ListenAddrs(), s.URL, `path: /items, key: id, auth: {login: {path: /login, field: token}}, retry: {initial: 1ms, max: 10m, attempts: 50},
		errors: [{status: 403, when: 'code == "session expired"', do: refresh}, {when: 'code == "account closed"', do: fail}]`)
	r := start(t, p, "one", testConfig())
	testkit.Eventually(t, patience, testkit.That("health says so", func() bool { return strings.Contains(r.Health.Waiting()["ingest"], "account closed") }))
	r.stop()
	if n := len(s.requests()); n != 4 || logins != 2 {
		t.Errorf("%d requests and %d logins, want 4 and 2: %v", n, logins, s.requests())
	}
}
