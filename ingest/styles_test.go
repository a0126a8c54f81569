package ingest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/pipeline/file"
)

// style is a server that behaves as APIs of one style do. It notes what it was asked.
type style struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string // method, URL and body
}

// newStyle serves answers of f, which is given the body of the request and called once at a time.
func newStyle(t testing.TB, f func(w http.ResponseWriter, r *http.Request, body string)) *style {
	s := &style{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
		f(w, r, string(body))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *style) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// streamFrom is a pipeline of one stream, items, whose ingest is written as in a file, in flow style.
func streamFrom(t testing.TB, brokers []string, url, ingest string) *pipeline.Pipeline {
	t.Helper()
	ingest = strings.Join(strings.Fields(ingest), " ")
	text := "pipeline: shop\nhttp: {base_url: \"" + url + "\", retry: {initial: 1ms, max: 20ms, attempts: 3}}\n" +
		"streams:\n  items:\n    ingest: {" + ingest + "}\n    sink: {columns: {id: varchar(64) key}}\n"
	if strings.Contains(ingest, "key: node.id") {
		text += "    process: [{map: {id: node.id}}]\n"
	}
	p, err := file.Parse("pipeline.yaml", []byte(text), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	p.Kafka = pipeline.Kafka{Brokers: brokers, Partitions: 3, Replication: -1, MaxRecordBytes: 1 << 20}
	return p
}

// keysOf lists the keys in the raw topic, sorted.
func keysOf(t testing.TB, brokers []string) []string {
	t.Helper()
	var keys []string
	for _, r := range testkit.Records(t, brokers, "shop.items.raw") {
		keys = append(keys, string(r.Key))
	}
	slices.SortFunc(keys, func(a, b string) int {
		x, _ := strconv.Atoi(a)
		y, _ := strconv.Atoi(b)
		return x - y
	})
	return keys
}

// upTo lists the numbers from 1 to n.
func upTo(n int) []string {
	var out []string
	for i := range n {
		out = append(out, strconv.Itoa(i+1))
	}
	return out
}

// ids are records with these numbers.
func ids(from, to int) []map[string]any {
	out := []map[string]any{}
	for i := from; i <= to; i++ {
		out = append(out, map[string]any{"id": i})
	}
	return out
}

func answer(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

// parsed is a JSON body.
func parsed(t testing.TB, body string) (m map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Errorf("body %q: %v", body, err)
	}
	return m
}

// TestStyles: each way in which APIs page is declared in a file, and all records come once.
//
// Guards against airbytehq/airbyte#2573, apache/seatunnel#4331, apache/seatunnel#5477.
func TestStyles(t *testing.T) {
	const n, size = 23, 5
	page := func(from int) (int, int) { return from + 1, min(from+size, n) }
	for name, c := range map[string]struct {
		ingest string
		serve  func(t testing.TB, w http.ResponseWriter, r *http.Request, body string)
	}{
		"keyset, newest first": { // Stripe
			ingest: `path: /v1/charges, query: {"expand[]": [a, b]}, records: data, key: id,
				paginate: {keyset: {field: id, param: starting_after, size_param: limit, size: 5, stop: {has_more: has_more}}}`,
			serve: func(t testing.TB, w http.ResponseWriter, r *http.Request, _ string) {
				q := r.URL.Query()
				if fmt.Sprint(q["expand[]"]) != "[a b]" || q.Get("limit") != "5" {
					t.Errorf("asked for %v", q)
				}
				next := n
				if after := q.Get("starting_after"); after != "" {
					next, _ = strconv.Atoi(after)
					next--
				}
				var data []map[string]any
				for i := next; i > max(0, next-size); i-- {
					data = append(data, map[string]any{"id": i})
				}
				answer(w, map[string]any{"object": "list", "data": data, "has_more": next > size})
			},
		},
		"search after, in a JSON body": { // Elasticsearch, OpenSearch
			ingest: `path: /items/_search, records: hits.hits, key: id,
				body: {json: {size: "{limit}", track: false, sort: [{id: asc}], search_after: "{cursor}"}},
				paginate: {keyset: {field: sort, size: 5, stop: short}}`,
			serve: func(t testing.TB, w http.ResponseWriter, r *http.Request, body string) {
				b := parsed(t, body)
				if r.Method != http.MethodPost || b["size"] != 5.0 || r.Header.Get("Content-Type") != "application/json" {
					t.Errorf("asked by %s for %s", r.Method, body)
				}
				from := 0
				if after, ok := b["search_after"].([]any); ok {
					from = int(after[0].(float64))
				}
				var hits []map[string]any
				for i := from + 1; i <= min(from+size, n); i++ {
					hits = append(hits, map[string]any{"id": i, "sort": []any{i, "x"}})
				}
				answer(w, map[string]any{"hits": map[string]any{"hits": hits}})
			},
		},
		"offset in a JSON body": {
			ingest: `path: /query, records: data, key: id, body: {json: {page: {offset: "{cursor}", limit: "{limit}", text: "{limit:text}"}}},
				paginate: {offset: {limit: 5, stop: {total: total}}}`,
			serve: func(t testing.TB, w http.ResponseWriter, _ *http.Request, body string) {
				b := parsed(t, body)["page"].(map[string]any)
				if b["limit"] != 5.0 || b["text"] != "5" {
					t.Errorf("asked for %v", b)
				}
				from, to := page(int(b["offset"].(float64)))
				answer(w, map[string]any{"data": ids(from, to), "total": n})
			},
		},
		"GraphQL, Relay": {
			ingest: `path: /graphql, records: data.items.edges, key: node.id,
				body: {graphql: {query: "query($after: String) { items(first: 5, after: $after) {edges{node{id}} pageInfo{endCursor hasNextPage}} }",
				variables: {after: "{cursor}", q: [1, null, "x"]}}},
				paginate: {relay: data.items.pageInfo}`,
			serve: func(t testing.TB, w http.ResponseWriter, _ *http.Request, body string) {
				b := parsed(t, body)
				vars := b["variables"].(map[string]any)
				if !strings.Contains(b["query"].(string), "edges{node{id}}") || fmt.Sprint(vars["q"]) != "[1 <nil> x]" {
					t.Errorf("asked for %s", body)
				}
				from := 0
				if after, ok := vars["after"]; ok {
					from, _ = strconv.Atoi(after.(string))
				}
				first, to := page(from)
				var edges []any
				for _, i := range ids(first, to) {
					edges = append(edges, map[string]any{"node": i})
				}
				info := map[string]any{"endCursor": strconv.Itoa(to), "hasNextPage": to < n}
				answer(w, map[string]any{"data": map[string]any{"items": map[string]any{"edges": edges, "pageInfo": info}}})
			},
		},
		"form, with a cursor that is a number": {
			ingest: `path: /export, records: data, key: id, body: {form: {tag: [a, b], from: "{cursor}"}},
				paginate: {cursor: {next: next}}`,
			serve: func(t testing.TB, w http.ResponseWriter, r *http.Request, body string) {
				r.Body = io.NopCloser(strings.NewReader(body))
				if err := r.ParseForm(); err != nil || fmt.Sprint(r.PostForm["tag"]) != "[a b]" {
					t.Errorf("form %v: %v", r.PostForm, err)
				}
				from, _ := strconv.Atoi(r.PostForm.Get("from"))
				first, to := page(from)
				next := any(to)
				if to == n {
					next = nil
				}
				answer(w, map[string]any{"data": ids(first, to), "next": next})
			},
		},
		"page in the path, and their number in a header": { // WordPress has the header
			ingest: `path: "/items/page/{cursor}", key: id, paginate: {page: {stop: {pages_header: X-WP-TotalPages}}}`,
			serve: func(_ testing.TB, w http.ResponseWriter, r *http.Request, _ string) {
				number, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/items/page/"))
				if number > 5 {
					http.Error(w, `{"code":"rest_post_invalid_page_number"}`, http.StatusBadRequest)
					return
				}
				w.Header()["X-WP-TotalPages"] = []string{"5"}
				from, to := page((number - 1) * size)
				answer(w, ids(from, to))
			},
		},
		"cursor in a header, sent back in a header": {
			ingest: `path: /items, key: id, headers: {X-Continue: "{cursor}", X-Always: yes}, paginate: {cursor: {header: X-Continuation}}`,
			serve: func(t testing.TB, w http.ResponseWriter, r *http.Request, _ string) {
				if got := r.Header["X-Continue"]; r.Header.Get("X-Always") != "yes" || len(got) > 0 && got[0] == "" {
					t.Errorf("headers %v", r.Header)
				}
				from, _ := strconv.Atoi(r.Header.Get("X-Continue"))
				first, to := page(from)
				if to < n {
					w.Header().Set("X-Continuation", strconv.Itoa(to))
				}
				answer(w, ids(first, to))
			},
		},
		"a first cursor": { // Crossref
			ingest: `path: /works, records: items, key: id, paginate: {cursor: {next: next-cursor, param: cursor, first: "*"}}`,
			serve: func(t testing.TB, w http.ResponseWriter, r *http.Request, _ string) {
				cursor := r.URL.Query().Get("cursor")
				if cursor == "" {
					t.Error("asked without a cursor")
				}
				from, _ := strconv.Atoi(cursor)
				first, to := page(from)
				next := any(strconv.Itoa(to))
				if to == n {
					next = nil
				}
				answer(w, map[string]any{"items": ids(first, to), "next-cursor": next})
			},
		},
		"next URL of an inner host, of which only the parameters count": {
			ingest: `path: /api/items, query: {kind: x}, records: data, key: id, paginate: {cursor: {next: next, as: params}}`,
			serve: func(t testing.TB, w http.ResponseWriter, r *http.Request, _ string) {
				if r.URL.Query().Get("kind") != "x" || r.URL.Path != "/api/items" {
					t.Errorf("asked for %s", r.URL)
				}
				from, _ := strconv.Atoi(r.URL.Query().Get("after"))
				first, to := page(from)
				next := any(fmt.Sprintf("http://10.0.0.1:1/inner?after=%d", to))
				if to == n {
					next = nil
				}
				answer(w, map[string]any{"data": ids(first, to), "next": next})
			},
		},
		"Link header of an inner host": {
			ingest: `path: /api/items, key: id, paginate: {link: {as: params}}`,
			serve: func(_ testing.TB, w http.ResponseWriter, r *http.Request, _ string) {
				from, _ := strconv.Atoi(r.URL.Query().Get("after"))
				first, to := page(from)
				if to < n {
					w.Header().Set("Link", fmt.Sprintf(`<http://10.0.0.1:1/inner?after=%d>; rel="next"`, to))
				}
				answer(w, ids(first, to))
			},
		},
		"a parameter of the next URL is the cursor": {
			ingest: `path: /items, records: data, key: id, paginate: {cursor: {next: links.next, take: "page[after]", param: "page[after]"}}`,
			serve: func(_ testing.TB, w http.ResponseWriter, r *http.Request, _ string) {
				from, _ := strconv.Atoi(r.URL.Query().Get("page[after]"))
				first, to := page(from)
				links := map[string]any{"next": fmt.Sprintf("/items?page%%5Bafter%%5D=%d", to)}
				if to == n {
					links["next"] = nil
				}
				answer(w, map[string]any{"data": ids(first, to), "links": links})
			},
		},
		"an object whose members are sent back": { // MediaWiki
			ingest: `path: /w/api.php, query: {action: query}, records: query.pages, key: id,
				paginate: {cursor: {next: continue, as: members, absent_ends: true}}`,
			serve: func(_ testing.TB, w http.ResponseWriter, r *http.Request, _ string) {
				from, _ := strconv.Atoi(r.URL.Query().Get("apcontinue"))
				if from > 0 && r.URL.Query().Get("continue") != "-||" {
					http.Error(w, "no", http.StatusBadRequest)
					return
				}
				first, to := page(from)
				body := map[string]any{"batchcomplete": "", "query": map[string]any{"pages": ids(first, to)}}
				if to < n {
					body["continue"] = map[string]any{"apcontinue": to, "continue": "-||"}
				}
				answer(w, body)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStyle(t, func(w http.ResponseWriter, r *http.Request, body string) { c.serve(t, w, r, body) })
			k := testkafka.New(t)
			r := start(t, streamFrom(t, k.ListenAddrs(), s.URL, c.ingest), "one", testConfig())
			r.awaitPass(t)
			r.stop()
			if d := cmp.Diff(upTo(n), keysOf(t, k.ListenAddrs())); d != "" {
				t.Errorf("%s\nasked: %s", d, strings.Join(s.requests(), "\n"))
			}
			if w := r.Health.Waiting(); len(w) > 0 {
				t.Errorf("still waiting: %v", w)
			}
		})
	}
}

// TestPositionOutlivesThePass: a sync token, a delta link, the number of the last change: the next pass asks only for
// what has changed since, also in the next process; and an API that has forgotten the position is asked for everything.
func TestPositionOutlivesThePass(t *testing.T) {
	const n, size = 12, 5
	for name, c := range map[string]struct {
		ingest string
		serve  func(s *changes, w http.ResponseWriter, r *http.Request)
	}{
		"sync token": {`records: items, paginate: {cursor: {next: nextPageToken, param: pageToken, keep: {field: nextSyncToken, param: syncToken}}}`, (*changes).calendar},
		"delta link": {`records: value, paginate: {cursor: {next: '"@odata.nextLink"', keep: {field: '"@odata.deltaLink"'}}}`, (*changes).graph},
		"last_seq":   {`records: results, paginate: {cursor: {next: last_seq, param: since, first: "0", stop: {has_more: pending}, keep: {}}}`, (*changes).couch},
		"last_seq, without a word of what is left": {`records: results, paginate: {cursor: {next: last_seq, param: since, keep: {}}}`, (*changes).couchOld},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &changes{size: size, at: n}
			for i := range n {
				a.changes = append(a.changes, i+1)
			}
			s := newStyle(t, func(w http.ResponseWriter, r *http.Request, _ string) { c.serve(a, w, r) })
			k := testkafka.New(t)
			p := streamFrom(t, k.ListenAddrs(), s.URL, "path: /items, key: id, every: 20ms, "+c.ingest)
			r := start(t, p, "one", testConfig())
			r.awaitPasses(t, 3)
			r.stop()
			if d := cmp.Diff(upTo(n), keysOf(t, k.ListenAddrs())); d != "" {
				t.Fatalf("%s\nasked: %s", d, strings.Join(s.requests(), "\n"))
			}
			before := len(s.requests())
			if before > 12 {
				t.Errorf("%d requests for three passes: %v", before, s.requests())
			}
			s.mu.Lock()
			a.changes = append(a.changes, 13, 14)
			s.mu.Unlock()
			r = start(t, p, "one", testConfig())
			testkit.Eventually(t, patience, testkit.That("what is new", func() bool { return len(keysOf(t, k.ListenAddrs())) >= n+2 }))
			r.stop()
			if d := cmp.Diff(upTo(n+2), keysOf(t, k.ListenAddrs())); d != "" {
				t.Errorf("%s\nasked: %s", d, strings.Join(s.requests()[before:], "\n"))
			}
			if first := s.requests()[before]; !strings.Contains(first, "12") {
				t.Errorf("the next process began with %s", first)
			}
			s.mu.Lock()
			a.forgot = true
			a.changes = append(a.changes, 15)
			s.mu.Unlock()
			r = start(t, p, "one", testConfig())
			testkit.Eventually(t, patience, testkit.That("what is new", func() bool { return slices.Contains(keysOf(t, k.ListenAddrs()), "15") }))
			r.stop()
			if !strings.Contains(r.log.String(), "everything is asked for again") {
				t.Errorf("log:\n%s", r.log)
			}
		})
	}
}

// changes is an API that tells what has changed since a position, which is a number of changes.
type changes struct {
	size, at int
	changes  []int
	forgot   bool // it knows no position
}

// since gives a page of the changes after a position. ok is false if that is not known any more.
func (a *changes) since(text string, w http.ResponseWriter) (page []map[string]any, to int, ok bool) {
	text, _, _ = strings.Cut(text, "-")
	from, _ := strconv.Atoi(text)
	if a.forgot && from > 0 && from < len(a.changes) && from >= a.at {
		a.forgot = false
		http.Error(w, `{"error":{"code":410,"message":"Sync token is no longer valid, a full sync is required."}}`, http.StatusGone)
		return nil, 0, false
	}
	page = []map[string]any{}
	for to = from; to < min(from+a.size, len(a.changes)); to++ {
		page = append(page, map[string]any{"id": a.changes[to]})
	}
	return page, to, true
}

func (a *changes) calendar(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	from := q.Get("syncToken")
	if token := q.Get("pageToken"); token != "" {
		from = token
	}
	page, to, ok := a.since(from, w)
	switch {
	case !ok:
	case to < len(a.changes):
		answer(w, map[string]any{"items": page, "nextPageToken": strconv.Itoa(to)})
	default:
		answer(w, map[string]any{"items": page, "nextSyncToken": strconv.Itoa(to)})
	}
}

func (a *changes) graph(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	page, to, ok := a.since(q.Get("$skiptoken")+q.Get("$deltatoken"), w)
	switch {
	case !ok:
	case to < len(a.changes):
		answer(w, map[string]any{"@odata.nextLink": fmt.Sprintf("http://%s/items?$skiptoken=%d", r.Host, to), "value": page})
	default:
		answer(w, map[string]any{"@odata.deltaLink": fmt.Sprintf("http://%s/items?$deltatoken=%d", r.Host, to), "value": page})
	}
}

func (a *changes) couch(w http.ResponseWriter, r *http.Request) {
	if page, to, ok := a.since(r.URL.Query().Get("since"), w); ok {
		answer(w, map[string]any{"results": page, "last_seq": strconv.Itoa(to) + "-x", "pending": len(a.changes) - to})
	}
}

func (a *changes) couchOld(w http.ResponseWriter, r *http.Request) {
	if page, to, ok := a.since(r.URL.Query().Get("since"), w); ok {
		answer(w, map[string]any{"results": page, "last_seq": to})
	}
}
