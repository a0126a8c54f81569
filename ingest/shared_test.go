package ingest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
)

// halves is an API of two slices, each with what records says of it.
type halves struct {
	*httptest.Server
	mu      sync.Mutex
	records map[string]string
}

func newHalves(t testing.TB) *halves {
	h := &halves{records: map[string]string{"x": "", "y": ""}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		_, _ = fmt.Fprintf(w, `{"data":[%s]}`, h.records[r.URL.Query().Get("half")])
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *halves) set(x, y string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.records = map[string]string{"x": x, "y": y}
}

func (h *halves) stream(shared bool, key ...string) pipeline.Stream {
	return pipeline.Stream{Name: "items", Ingest: pipeline.Ingest{
		HTTP: pipeline.HTTP{BaseURL: h.URL, Retry: pipeline.Retry{Initial: time.Millisecond, Max: 20 * time.Millisecond, Attempts: 2}},
		Path: "/items", Query: map[string][]string{"half": {"{half}"}}, Records: []string{"data"}, Key: key, Concurrency: 1, Every: 20 * time.Millisecond,
		Slices: &pipeline.Slices{Name: "half", Values: []string{"x", "y"}, Shared: shared},
	}}
}

// newest is the value of the last record of a key in raw.
func newest(t testing.TB, brokers []string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, r := range testkit.Records(t, brokers, "shop.items.raw") {
		out[string(r.Key)] = string(r.Value)
	}
	return out
}

// TestKeyMovesToAnotherSliceAndBack, with the bytes that it had there before: A, B, A.
func TestKeyMovesToAnotherSliceAndBack(t *testing.T) {
	t.Parallel()
	h := newHalves(t)
	c := testkafka.New(t)
	r := start(t, newPipeline(c.ListenAddrs(), h.stream(true, "id")), "one", testConfig())
	for _, step := range []struct{ x, y, want string }{
		{`{"id":1,"at":"x"}`, ``, `{"id":1,"at":"x"}`},
		{``, `{"id":1,"at":"y"}`, `{"id":1,"at":"y"}`},
		{`{"id":1,"at":"x"}`, ``, `{"id":1,"at":"x"}`},
	} {
		h.set(step.x, step.y)
		r.awaitPasses(t, 6)
		testkit.Eventually(t, patience, testkit.That("the newest is "+step.want, func() bool { return newest(t, c.ListenAddrs())["1"] == step.want }))
	}
	r.stop()
}

// TestSliceInTheKey: records that each slice counts for itself are different records, and unchanged ones are not
// written again.
func TestSliceInTheKey(t *testing.T) {
	t.Parallel()
	h := newHalves(t)
	h.set(`{"id":1,"of":"x"}`, `{"id":1,"of":"y"},{"id":2,"of":"y"}`)
	c := testkafka.New(t)
	r := start(t, newPipeline(c.ListenAddrs(), h.stream(true, pipeline.SliceField, "id")), "one", testConfig())
	r.awaitPasses(t, 6)
	r.stop()
	var keys []string
	for _, rec := range testkit.Records(t, c.ListenAddrs(), "shop.items.raw") {
		keys = append(keys, string(rec.Key))
	}
	slices.Sort(keys)
	if d := cmp.Diff([]string{`["x",1]`, `["y",1]`, `["y",2]`}, keys); d != "" {
		t.Errorf("keys in raw (-want +got):\n%s", d)
	}
}

// TestSlicesBecomeDisjoint: what a slice remembers from before it shared its keys does not count after.
func TestSlicesBecomeDisjoint(t *testing.T) {
	t.Parallel()
	h := newHalves(t)
	c := testkafka.New(t)
	run := func(shared bool, x, y string) {
		h.set(x, y)
		r := start(t, newPipeline(c.ListenAddrs(), h.stream(shared, "id")), "one", testConfig())
		r.awaitPass(t)
		r.awaitPasses(t, 4)
		r.stop()
	}
	a, b := `{"id":1,"v":"a"}`, `{"id":1,"v":"b"}`
	run(false, a, ``)
	run(true, ``, b)
	run(false, a, ``)
	if got := newest(t, c.ListenAddrs())["1"]; got != a {
		t.Errorf("the newest in raw is %s, want %s", got, a)
	}
}
