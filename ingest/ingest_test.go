package ingest_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// item is a record of the test API.
type item struct {
	ID      int    `json:"id"`
	Text    string `json:"text"`
	Updated string `json:"updated_at"`
}

// api is an HTTP API with every pagination that ingest knows. Its fields may be changed between requests under mu.
type api struct {
	*httptest.Server
	mu       sync.Mutex
	items    []item
	cap      int                                                      // of a page's records, below the asked; 0: none
	before   func(n int, w http.ResponseWriter, r *http.Request) bool // may answer instead; n counts requests from 1
	requests []string                                                 // request URIs
	count    atomic.Int64
}

func newAPI(t testing.TB, n int) *api {
	a := &api{}
	for i := range n {
		a.items = append(a.items, item{i, fmt.Sprintf("text %d", i), time.Unix(1_700_000_000+int64(i), 0).UTC().Format(time.RFC3339)})
	}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := int(a.count.Add(1))
	a.mu.Lock()
	a.requests = append(a.requests, r.URL.RequestURI())
	before := a.before
	a.mu.Unlock()
	if before != nil && before(n, w, r) {
		return
	}
	a.page(w, r)
}

func (a *api) page(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	q := r.URL.Query()
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(q.Get(name)); err == nil {
			return n
		}
		return otherwise
	}
	items := a.items
	if since := q.Get("since"); since != "" {
		items = slices.DeleteFunc(slices.Clone(items), func(i item) bool { return i.Updated < since })
	}
	size := number("size", 10)
	from := number("offset", number("cursor", number("page", 0)*size))
	if a.cap > 0 {
		size = min(size, a.cap)
	}
	from = min(from, len(items))
	to := min(from+size, len(items))
	meta := map[string]any{"total": len(items), "more": to < len(items), "next": nil, "url": nil}
	if to < len(items) {
		meta["next"] = strconv.Itoa(to)
		q.Set("cursor", strconv.Itoa(to))
		meta["url"] = r.URL.Path + "?" + q.Encode()
		w.Header().Add("Link", `<`+r.URL.Path+`?first>; rel="first"`)
		w.Header().Add("Link", `<`+a.URL+r.URL.Path+"?"+q.Encode()+`>; rel="next"`)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"meta": meta, "data": items[from:to]})
}

func (a *api) update(i int, text string, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.items[i].Text, a.items[i].Updated = text, at.UTC().Format(time.RFC3339)
}

func (a *api) seen() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

func (a *api) intercept(f func(n int, w http.ResponseWriter, r *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.before = f
}

// stream is a stream of the test API.
func (a *api) stream(name string, p pipeline.Paginate) pipeline.Stream {
	return pipeline.Stream{Name: name, Ingest: pipeline.Ingest{
		HTTP: pipeline.HTTP{
			BaseURL: a.URL, Timeout: 30 * time.Second,
			Retry: pipeline.Retry{Initial: time.Millisecond, Max: 20 * time.Millisecond, Attempts: 4},
		},
		Path: "/" + name, Query: map[string][]string{"size": {"10"}}, Records: []string{"data"}, Key: []string{"id"}, Paginate: p, Concurrency: 4,
	}}
}

func byOffset(stop pipeline.StopRule) pipeline.Paginate {
	return pipeline.Paginate{Offset: &pipeline.OffsetLimit{Param: "offset", LimitParam: "size", Limit: 10, Stop: stop}}
}

var (
	byPage   = pipeline.Paginate{Page: &pipeline.PageNumber{Param: "page", SizeParam: "size", Size: 10, Stop: pipeline.StopRule{When: "empty"}}}
	byCursor = pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"meta", "next"}, Param: "cursor"}}
	byURL    = pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"meta", "url"}}}
	byLink   = pipeline.Paginate{Link: &pipeline.LinkHeader{}}
)

func newPipeline(brokers []string, streams ...pipeline.Stream) *pipeline.Pipeline {
	return &pipeline.Pipeline{
		Name: "shop", Streams: streams,
		Kafka: pipeline.Kafka{Brokers: brokers, Partitions: 3, Replication: -1, MaxRecordBytes: 1 << 20},
	}
}

// process is an ingest that runs.
type process struct {
	*ingest.Ingest
	Health  *stage.Health
	Metrics *prometheus.Registry
	log     *testkit.Buffer
	stop    func()
}

func testConfig() ingest.Config {
	c := ingest.DefaultConfig()
	c.CommitInterval = 5 * time.Millisecond
	c.SessionTimeout = 6 * time.Second
	return c
}

func start(t testing.TB, p *pipeline.Pipeline, name string, cfg ingest.Config) *process {
	t.Helper()
	return startWith(t, p, name, cfg)
}

func startWith(t testing.TB, p *pipeline.Pipeline, name string, cfg ingest.Config, opts ...kgo.Opt) *process {
	t.Helper()
	r := &process{Health: &stage.Health{}, Metrics: prometheus.NewRegistry(), log: &testkit.Buffer{}}
	r.Health.Wait("ingest", "starting") // as the process says until the stage is ready
	in, err := ingest.New(p, cfg, stage.Env{
		Instance: name, Kafka: append([]kgo.Opt{kgo.SeedBrokers(p.Kafka.Brokers...), kgo.MetadataMinAge(50 * time.Millisecond)}, opts...),
		Log: slog.New(slog.NewTextHandler(r.log, nil)).With("process", name), Metrics: r.Metrics, Health: r.Health,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Ingest = in
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, r.log)
		}
	})
	r.stop = testkit.Run(t, in.Run)
	return r
}

func (r *process) awaitPass(t testing.TB) {
	t.Helper()
	select {
	case <-r.PassesDone():
	case <-time.After(patience):
		t.Fatalf("no pass ended; waiting for %v; log:\n%s", r.Health.Waiting(), r.log)
	}
}

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

// texts counts the values in a topic by key.
func texts(t testing.TB, brokers []string, topic string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, r := range testkit.Records(t, brokers, topic) {
		if got, want := r.Partition, topics.Partition(r.Key, 3); got != want {
			t.Errorf("key %s is in partition %d, want %d", r.Key, got, want)
		}
		var i item
		if err := json.Unmarshal(r.Value, &i); err != nil {
			t.Fatalf("value %q: %v", r.Value, err)
		}
		if string(r.Key) != strconv.Itoa(i.ID) {
			t.Errorf("key %s has the value of %d", r.Key, i.ID)
		}
		out[string(r.Key)] = append(out[string(r.Key)], i.Text)
	}
	return out
}

// wantOnce is each item's text, once.
func (a *api) wantOnce() map[string][]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	want := map[string][]string{}
	for _, i := range a.items {
		want[strconv.Itoa(i.ID)] = []string{i.Text}
	}
	return want
}

// once checks that the raw topic has each item once.
func (a *api) once(t testing.TB, brokers []string) {
	t.Helper()
	if d := cmp.Diff(a.wantOnce(), texts(t, brokers, "shop.items.raw")); d != "" {
		t.Error(d)
	}
}

// TestEveryPagination: each kind of paginate, declared in a line, brings every record once.
//
// Guards against redpanda-data/connect#752.
func TestEveryPagination(t *testing.T) {
	for name, p := range map[string]pipeline.Paginate{
		"page": byPage, "cursor": byCursor, "url": byURL, "link": byLink,
		"offset-empty":   byOffset(pipeline.StopRule{When: "empty"}),
		"offset-short":   byOffset(pipeline.StopRule{When: "short"}),
		"offset-total":   byOffset(pipeline.StopRule{When: "total", Field: []string{"meta", "total"}}),
		"offset-hasmore": byOffset(pipeline.StopRule{When: "has_more", Field: []string{"meta", "more"}}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, 237)
			c := testkafka.New(t)
			pl := newPipeline(c.ListenAddrs(), a.stream("items", p))
			r := start(t, pl, "one", testConfig())
			r.awaitPass(t)
			r.stop()
			a.once(t, c.ListenAddrs())
			if w := r.Health.Waiting(); len(w) > 0 {
				t.Errorf("still waiting: %v", w)
			}
		})
	}
}
