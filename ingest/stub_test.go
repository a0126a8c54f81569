package ingest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// answers is an API that answers each request of a path with what is set for it.
type answers struct {
	*httptest.Server
	mu    sync.Mutex
	of    map[string]string
	asked map[string]int
}

func newAnswers(t *testing.T) *answers {
	a := &answers{of: map[string]string{}, asked: map[string]int{}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.asked[r.URL.Path]++
		if a.of[r.URL.Path] == "" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(a.of[r.URL.Path]))
	}))
	t.Cleanup(a.Close)
	return a
}

// set sets the answer for a path and waits until a request that began after that was answered, and another has begun.
func (a *answers) set(t *testing.T, path, answer string) {
	t.Helper()
	a.mu.Lock()
	a.of[path] = answer
	n := a.asked[path]
	a.mu.Unlock()
	testkit.Eventually(t, patience, testkit.That("requests of "+path, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.asked[path] > n+2
	}))
}

func (a *answers) stream(name string) pipeline.Stream {
	return pipeline.Stream{Name: name, Ingest: pipeline.Ingest{
		HTTP: pipeline.HTTP{BaseURL: a.URL, Timeout: 5 * time.Second, Retry: pipeline.Retry{Initial: time.Millisecond, Max: 20 * time.Millisecond, Attempts: 4}},
		Path: "/" + name, Key: []string{"id"}, Concurrency: 1, Every: 10 * time.Millisecond,
	}}
}

// sourced is what the raw topic has of each key: versions, with "gone" for tombstones.
func sourced(t *testing.T, brokers []string, topic string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, r := range testkit.Records(t, brokers, topic) {
		h, err := topics.ParseRawHeaders(r)
		if err != nil {
			t.Fatal(err)
		}
		text := "none"
		if h.HasSource {
			text = time.Unix(0, h.Source).UTC().Format("01-02")
		}
		if r.Value == nil {
			text += " gone"
		}
		out[string(r.Key)] = append(out[string(r.Key)], text)
	}
	return out
}

// TestStubsDelete: records that say that they were deleted, with all that such stubs leave out. One that comes again is
// not written again; a record that is created again is.
func TestStubsDelete(t *testing.T) {
	t.Parallel()
	a := newAnswers(t)
	c := testkafka.New(t)
	s := a.stream("items")
	s.Ingest.Incremental = &pipeline.Incremental{Field: "updated", Param: "since"}
	s.Ingest.Version, s.Ingest.DeletedWhen = "updated", "deleted == true"
	pl := newPipeline(c.ListenAddrs(), s)
	a.of["/items"] = `[{"id": 1, "updated": "2024-03-01T00:00:00Z"}, {"id": 2, "updated": "2024-03-01T00:00:00Z"},
		{"id": 3, "updated": "2024-03-01T00:00:00Z", "deleted": false}, {"id": 4, "updated": "2024-03-01T00:00:00Z"}]`
	r := start(t, pl, "one", testConfig())
	r.awaitPass(t)
	a.set(t, "/items", `[{"id": 1, "deleted": true}, {"id": 2, "deleted": true, "updated": null}, {"id": 3, "deleted": true, "updated": "2024-03-02T00:00:00Z"},
		{"deleted": true}]`)
	a.set(t, "/items", `[{"id": 3, "updated": "2024-03-03T00:00:00Z"}]`)
	a.set(t, "/items", `[{"id": 3, "updated": "2024-03-04T00:00:00Z", "deleted": true}]`)
	r.stop()
	want := map[string][]string{
		"1": {"03-01", "03-02 gone"}, "2": {"03-01", "03-02 gone"}, "3": {"03-01", "03-02 gone", "03-03", "03-04 gone"}, "4": {"03-01"},
	}
	if d := cmp.Diff(want, sourced(t, c.ListenAddrs(), "shop.items.raw")); d != "" {
		t.Error(d)
	}
	letters := testkit.Records(t, c.ListenAddrs(), "shop.items.dlq")
	if len(letters) != 1 {
		t.Fatalf("%d letters", len(letters))
	}
	var stub struct{ Deleted bool }
	if err := json.Unmarshal(letters[0].Value, &stub); err != nil || !stub.Deleted {
		t.Errorf("the letter of the stub without a key holds %s", letters[0].Value)
	}
}

// TestStubsBesideCompleteReads: a key whose stub is shown is deleted once, whatever the complete read says.
func TestStubsBesideCompleteReads(t *testing.T) {
	t.Parallel()
	a := newAnswers(t)
	c := testkafka.New(t)
	s := a.stream("items")
	s.Ingest.DeletedWhen, s.Ingest.Deletes = `state == "gone"`, deletes()
	pl := newPipeline(c.ListenAddrs(), s)
	a.of["/items"] = `[{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}]`
	r := start(t, pl, "one", testConfig())
	r.awaitPass(t)
	a.set(t, "/items", `[{"id": 1}, {"id": 2, "state": "gone"}, {"id": 3}]`)
	a.set(t, "/items", `[{"id": 1}, {"id": 3}]`)
	a.set(t, "/items", `[{"id": 1}, {"id": 2}, {"id": 3}]`)
	r.stop()
	want := map[string][]string{"1": {"none"}, "2": {"none", "none gone", "none"}, "3": {"none"}, "4": {"none", "none gone"}}
	if d := cmp.Diff(want, sourced(t, c.ListenAddrs(), "shop.items.raw")); d != "" {
		t.Error(d)
	}
}

// TestAStubThatCannotBeToldIsALetter.
func TestAStubThatCannotBeToldIsALetter(t *testing.T) {
	t.Parallel()
	a := newAnswers(t)
	c := testkafka.New(t)
	s := a.stream("items")
	s.Ingest.DeletedWhen = "state > 3"
	pl := newPipeline(c.ListenAddrs(), s)
	a.of["/items"] = `[{"id": 1, "state": 4}, {"id": 2, "state": "x"}, {"id": 3, "state": 1}]`
	r := start(t, pl, "one", testConfig())
	r.awaitPass(t)
	r.stop()
	if d := cmp.Diff(map[string][]string{"1": {"none gone"}, "3": {"none"}}, sourced(t, c.ListenAddrs(), "shop.items.raw")); d != "" {
		t.Error(d)
	}
	letters := testkit.Records(t, c.ListenAddrs(), "shop.items.dlq")
	if len(letters) != 1 {
		t.Fatalf("%d letters", len(letters))
	}
	if l, _, err := topics.ParseLetter(letters[0]); err != nil || l.Step != "ingest.deletes.when" {
		t.Errorf("%+v: %v", l, err)
	}
}
