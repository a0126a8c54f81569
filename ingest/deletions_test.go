package ingest_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// bin is an API of records by region, that lists what was deleted beside what is there. Its clock moves with each
// change.
type bin struct {
	*httptest.Server
	mu    sync.Mutex
	now   time.Time
	there map[string]map[int]time.Time // by region and id: time of the last change
	gone  map[string][]map[string]any  // by region
}

func newBin(t *testing.T) *bin {
	b := &bin{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), there: map[string]map[int]time.Time{"eu": {}, "us": {}}, gone: map[string][]map[string]any{}}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		w.Header().Set("Date", b.now.Add(time.Minute).Format(http.TimeFormat))
		region, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		since := r.URL.Query().Get("since")
		list := []map[string]any{}
		if what == "deleted" {
			for _, d := range b.gone[region] {
				if d["deleted_at"].(string) >= since {
					list = append(list, d)
				}
			}
		} else {
			for id, at := range b.there[region] {
				if text := at.Format(time.RFC3339); text >= since {
					list = append(list, map[string]any{"id": id, "updated_at": text})
				}
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": list})
	}))
	t.Cleanup(b.Close)
	return b
}

// change creates, revises or deletes records.
func (b *bin) change(r *rand.Rand) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, region := range []string{"eu", "us"} {
		b.now = b.now.Add(time.Second)
		id := r.IntN(20)
		if region == "us" {
			id += 100
		}
		if _, ok := b.there[region][id]; ok && r.IntN(2) == 0 {
			delete(b.there[region], id)
			b.gone[region] = append(b.gone[region], map[string]any{"order": id, "deleted_at": b.now.Format(time.RFC3339)})
			continue
		}
		b.there[region][id] = b.now
	}
}

func (b *bin) ids() (keys []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, of := range b.there {
		for id := range of {
			keys = append(keys, strconv.Itoa(id))
		}
	}
	slices.Sort(keys)
	return keys
}

func (b *bin) stream() pipeline.Stream {
	in := pipeline.Ingest{
		HTTP: pipeline.HTTP{BaseURL: b.URL, Timeout: 5 * time.Second, Retry: pipeline.Retry{Initial: time.Millisecond, Max: 20 * time.Millisecond, Attempts: 4}},
		Path: "/{region}/orders", Records: []string{"data"}, Key: []string{"id"}, Version: "updated_at", Concurrency: 1, Every: 10 * time.Millisecond,
		Slices: &pipeline.Slices{Name: "region", Values: []string{"eu", "us"}}, Incremental: &pipeline.Incremental{Field: "updated_at", Param: "since"},
	}
	deleted := in
	deleted.Path, deleted.Key, deleted.Version, deleted.Deletions = "/{region}/deleted", []string{"order"}, "deleted_at", true
	deleted.Incremental = &pipeline.Incremental{Field: "deleted_at", Param: "since"}
	in.DeletedIn = &deleted
	return pipeline.Stream{Name: "items", Ingest: in}
}

// latest is the keys of which the record with the highest version, and of these the last, is no tombstone: what a table
// has.
func latest(t *testing.T, brokers []string, topic string) (keys []string) {
	t.Helper()
	source, is := map[string]int64{}, map[string]bool{}
	for _, r := range testkit.Records(t, brokers, topic) {
		h, err := topics.ParseRawHeaders(r)
		if err != nil || !h.HasSource {
			t.Fatalf("%+v: %v", h, err)
		}
		if key := string(r.Key); h.Source >= source[key] {
			source[key], is[key] = h.Source, r.Value != nil
		}
	}
	for key, there := range is {
		if there {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// TestDeletedSince: a resource beside the stream's own lists what was deleted. Records are deleted and created again
// all the time, and the two are fetched in any order, with restarts; a key ends as it is at the API.
func TestDeletedSince(t *testing.T) {
	t.Parallel()
	b := newBin(t)
	c := testkafka.New(t)
	pl := newPipeline(c.ListenAddrs(), b.stream())
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 3 {
		for range 20 {
			b.change(r)
		}
		p := start(t, pl, fmt.Sprint("p", round), testConfig())
		p.awaitPass(t)
		for range 60 {
			b.change(r)
		}
		testkit.Eventually(t, patience, func() error {
			if d := cmp.Diff(b.ids(), latest(t, c.ListenAddrs(), "shop.items.raw")); d != "" {
				return fmt.Errorf("not as at the API: %s", d)
			}
			return nil
		})
		p.stop()
	}
	for _, rec := range testkit.Records(t, c.ListenAddrs(), "shop.items.raw") {
		if h, _ := topics.ParseRawHeaders(rec); strings.HasPrefix(h.Slice, "deleted:") != (rec.Value == nil) {
			t.Fatalf("slice %q has %q", h.Slice, rec.Value)
		}
	}
}

// TestADeletionWithoutATimeIsALetter: it may be older than what was created since.
func TestADeletionWithoutATimeIsALetter(t *testing.T) {
	t.Parallel()
	a := newAnswers(t)
	c := testkafka.New(t)
	s := a.stream("items")
	s.Ingest.Version = "at"
	deleted := s.Ingest
	deleted.Path, deleted.Deletions = "/deleted", true
	s.Ingest.DeletedIn = &deleted
	a.of["/items"] = `[{"id": 1, "at": "2026-01-01T00:00:00Z"}, {"id": 2, "at": "2026-01-01T00:00:00Z"}]`
	a.of["/deleted"] = `[{"id": 2, "at": "2026-01-02T00:00:00Z"}, {"id": 1}]`
	r := start(t, newPipeline(c.ListenAddrs(), s), "one", testConfig())
	r.awaitPass(t)
	r.stop()
	want := map[string][]string{"1": {"01-01"}, "2": {"01-01", "01-02 gone"}}
	got := sourced(t, c.ListenAddrs(), "shop.items.raw")
	for key := range got {
		slices.Sort(got[key]) // either may have been first
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if letters := testkit.Records(t, c.ListenAddrs(), "shop.items.dlq"); len(letters) != 1 || string(letters[0].Key) != "1" {
		t.Errorf("%d letters", len(letters))
	}
}
