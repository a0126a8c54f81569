package ingest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// deletes is what a stream that deletes by complete reads says, if it allows any number.
func deletes() *pipeline.Deletes { return &pipeline.Deletes{AtMost: 100, MaxKeys: 100_000} }

// fates is what the raw topic has of each key: texts of records, and "gone" for tombstones.
func fates(t testing.TB, brokers []string, topic string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, r := range testkit.Records(t, brokers, topic) {
		text := "gone"
		if r.Value != nil {
			var i item
			if err := json.Unmarshal(r.Value, &i); err != nil {
				t.Fatalf("value %q: %v", r.Value, err)
			}
			text = i.Text
		}
		if got, want := r.Partition, topics.Partition(r.Key, 3); got != want {
			t.Errorf("key %s is in partition %d, want %d", r.Key, got, want)
		}
		out[string(r.Key)] = append(out[string(r.Key)], text)
	}
	return out
}

// there are the keys whose newest raw record is no tombstone.
func there(h map[string][]string) (keys []string) {
	for key, texts := range h {
		if texts[len(texts)-1] != "gone" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func (a *api) drop(ids ...int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.items = slices.DeleteFunc(a.items, func(i item) bool { return slices.Contains(ids, i.ID) })
}

func (a *api) add(i item) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.items = append(a.items, i)
}

// ids are the keys of the records that the API has.
func (a *api) ids() (keys []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, i := range a.items {
		keys = append(keys, strconv.Itoa(i.ID))
	}
	slices.Sort(keys)
	return keys
}

// awaitThere waits until the raw topic shows as there what the API has.
func (a *api) awaitThere(t *testing.T, brokers []string) {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		if d := cmp.Diff(a.ids(), there(fates(t, brokers, "shop.items.raw"))); d != "" {
			return fmt.Errorf("not what the API has (-want +got):\n%s", d)
		}
		return nil
	})
}

// awaitPasses waits for so many more passes that begin after the call, of a stream whose pass has one first page.
func (a *api) awaitPasses(t *testing.T, n int, first func(uri string) bool) {
	t.Helper()
	count := func() (c int) {
		for _, uri := range a.seen() {
			if first(uri) {
				c++
			}
		}
		return c
	}
	from := count()
	// the one after them has begun
	testkit.Eventually(t, patience, testkit.That("more passes", func() bool { return count() > from+n }))
}

func anyPage(string) bool { return true }

// TestHardDeletes: an API shows a deleted record no more, and says nothing else of it. It has one page, so that one
// read tells. A record that comes back as it was is written again.
func TestHardDeletes(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 3)
	c := testkafka.New(t)
	s := a.stream("items", pipeline.Paginate{})
	s.Ingest.Deletes, s.Ingest.Every, s.Ingest.Version = deletes(), 20*time.Millisecond, "updated_at"
	pl := newPipeline(c.ListenAddrs(), s)
	r := start(t, pl, "one", testConfig())
	r.awaitPass(t)
	a.awaitThere(t, c.ListenAddrs())
	a.mu.Lock()
	was := a.items[1]
	a.mu.Unlock()
	a.drop(1)
	a.awaitThere(t, c.ListenAddrs())
	a.add(was)
	a.awaitThere(t, c.ListenAddrs())
	a.awaitPasses(t, 2, anyPage)
	r.stop()
	want := map[string][]string{"0": {"text 0"}, "1": {"text 1", "gone", "text 1"}, "2": {"text 2"}}
	if d := cmp.Diff(want, fates(t, c.ListenAddrs(), "shop.items.raw")); d != "" {
		t.Error(d)
	}
	var sources []string // of the key that was deleted
	for _, rec := range testkit.Records(t, c.ListenAddrs(), "shop.items.raw") {
		if string(rec.Key) == "1" {
			h, err := topics.ParseRawHeaders(rec)
			if err != nil || !h.HasSource {
				t.Errorf("%+v: %v", h, err)
			}
			sources = append(sources, strconv.FormatInt(h.Source, 10))
		}
	}
	if len(slices.Compact(sources)) != 1 {
		t.Errorf("versions %v: a tombstone has that of the record before it", sources)
	}
}

// TestHardDeletesOfPages: what is read in several pages is deleted when the next read confirms it, however pages follow
// one another; keys that were known before a restart, too.
func TestHardDeletesOfPages(t *testing.T) {
	for name, p := range map[string]pipeline.Paginate{"offset": byOffset(pipeline.StopRule{When: "empty"}), "cursor": byCursor} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, 137)
			c := testkafka.New(t)
			s := a.stream("items", p)
			s.Ingest.Deletes = deletes()
			once := newPipeline(c.ListenAddrs(), s)
			r := start(t, once, "one", testConfig())
			r.awaitPass(t)
			r.stop()
			a.drop(0, 17, 18, 99, 136)
			for range 2 { // a process of its own for each read
				if got := there(fates(t, c.ListenAddrs(), "shop.items.raw")); len(got) != 137 {
					t.Fatalf("%d keys are there before it was confirmed", len(got))
				}
				r = start(t, once, "one", testConfig())
				r.awaitPass(t)
				r.stop()
			}
			if d := cmp.Diff(a.ids(), there(fates(t, c.ListenAddrs(), "shop.items.raw"))); d != "" {
				t.Error(d)
			}
			for key, texts := range fates(t, c.ListenAddrs(), "shop.items.raw") {
				if len(texts) > 2 || len(texts) == 2 && texts[1] != "gone" {
					t.Errorf("key %s: %v", key, texts)
				}
			}
		})
	}
}

// TestKeysetDeletesAtOnce: pages in the order of the key let nothing slip.
func TestKeysetDeletesAtOnce(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 25)
	a.intercept(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		after, err := strconv.Atoi(r.URL.Query().Get("after"))
		if err != nil {
			after = -1
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		page := []item{}
		for _, i := range a.items {
			if i.ID > after && len(page) < 10 {
				page = append(page, i)
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": page})
		return true
	})
	c := testkafka.New(t)
	s := a.stream("items", pipeline.Paginate{Keyset: &pipeline.Keyset{Field: []string{"id"}, Param: "after", Stop: pipeline.StopRule{When: "empty"}}})
	s.Ingest.Deletes = deletes()
	pl := newPipeline(c.ListenAddrs(), s)
	for i := range 2 {
		r := start(t, pl, "one", testConfig())
		r.awaitPass(t)
		r.stop()
		if d := cmp.Diff(a.ids(), there(fates(t, c.ListenAddrs(), "shop.items.raw"))); d != "" {
			t.Errorf("run %d: %s", i, d)
		}
		a.drop(3, 20)
	}
}

// TestDeletionsOfAPageInPieces: what one read deletes may be too much for one transaction. Each tombstone is written
// once, and has an ordinal of its own.
func TestDeletionsOfAPageInPieces(t *testing.T) {
	t.Parallel()
	const n = 8000
	a := newAPI(t, n)
	c := testkafka.New(t)
	s := a.stream("items", pipeline.Paginate{})
	s.Ingest.Query, s.Ingest.Deletes, s.Ingest.Every = map[string][]string{"size": {"10000"}}, deletes(), 20*time.Millisecond
	pl := newPipeline(c.ListenAddrs(), s)
	cfg := testConfig()
	cfg.TransactionBytes = 1 << 20 // twice that is the most that a transaction holds
	r := start(t, pl, "one", cfg)
	r.awaitPass(t)
	a.mu.Lock()
	a.items = a.items[:1]
	a.mu.Unlock()
	a.awaitThere(t, c.ListenAddrs())
	a.awaitPasses(t, 2, anyPage)
	r.stop()
	pages := map[string]bool{}
	tombstones := 0
	for _, rec := range testkit.Records(t, c.ListenAddrs(), "shop.items.raw") {
		h, err := topics.ParseRawHeaders(rec)
		id := fmt.Sprint(h.PageID, ":", h.Ordinal)
		if err != nil || pages[id] {
			t.Fatalf("key %s: %s is there twice: %v", rec.Key, id, err)
		}
		if pages[id] = true; rec.Value == nil {
			tombstones++
		}
	}
	if tombstones != n-1 {
		t.Errorf("%d tombstones", tombstones)
	}
}

// TestKeysetInAnotherOrder: an API goes on after a key, and sorts by the time of the last change. What changes while it
// is read goes to a page that has come: one read does not tell that it is gone.
func TestKeysetInAnotherOrder(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 25)
	a.items[3], a.items[20] = a.items[20], a.items[3] // they were changed, some time
	var moves atomic.Bool
	a.intercept(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		after := r.URL.Query().Get("after")
		a.mu.Lock()
		defer a.mu.Unlock()
		if after != "" && moves.CompareAndSwap(true, false) {
			last := len(a.items) - 1
			a.items = slices.Insert(a.items[:last:last], 0, a.items[last])
		}
		from := slices.IndexFunc(a.items, func(i item) bool { return strconv.Itoa(i.ID) == after }) + 1
		_ = json.NewEncoder(w).Encode(map[string]any{"data": a.items[from:min(from+10, len(a.items))]})
		return true
	})
	c := testkafka.New(t)
	s := a.stream("items", pipeline.Paginate{Keyset: &pipeline.Keyset{Field: []string{"id"}, Param: "after", Stop: pipeline.StopRule{When: "empty"}}})
	s.Ingest.Deletes = deletes()
	pl := newPipeline(c.ListenAddrs(), s)
	for _, m := range []bool{false, true, false} {
		moves.Store(m)
		r := start(t, pl, "one", testConfig())
		r.awaitPass(t)
		r.stop()
		for key, texts := range fates(t, c.ListenAddrs(), "shop.items.raw") {
			if slices.Contains(texts, "gone") {
				t.Errorf("key %s, which was there all the time: %v", key, texts)
			}
		}
	}
}

// TestAReadThatIsNotCompleteDeletesNothing, for whatever reason it is not; the next complete one does.
func TestAReadThatIsNotCompleteDeletesNothing(t *testing.T) {
	for name, set := range map[string]struct {
		rule  []pipeline.ErrorRule
		wrong func(w http.ResponseWriter, r *http.Request) bool
		says  string
	}{
		"fails": {wrong: func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return true
		}},
		"skipped page": {
			rule: []pipeline.ErrorRule{{Statuses: []pipeline.StatusRange{{From: 403, To: 403}}, Do: "skip"}}, says: "was passed over",
			wrong: func(w http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.RawQuery, "offset=0") {
					http.Error(w, "{}", http.StatusForbidden)
					return true
				}
				return false
			},
		},
		"ended by a rule": {
			rule: []pipeline.ErrorRule{{Statuses: []pipeline.StatusRange{{From: 403, To: 403}}, Do: "end"}}, says: "a rule of ingest.errors has ended it",
			wrong: func(w http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.RawQuery, "offset=20") {
					http.Error(w, "{}", http.StatusForbidden)
					return true
				}
				return false
			},
		},
		"record without a key": {says: "whose key cannot be read", wrong: func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.RawQuery, "offset=0") {
				_, _ = w.Write([]byte(`{"data": [{"id": null}]}`))
				return true
			}
			return false
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, 35)
			c := testkafka.New(t)
			s := a.stream("items", byOffset(pipeline.StopRule{When: "empty"}))
			s.Ingest.Deletes, s.Ingest.Every, s.Ingest.Errors, s.Ingest.Concurrency = deletes(), 10*time.Millisecond, set.rule, 1
			s.Ingest.Deletes.Steady = true
			pl := newPipeline(c.ListenAddrs(), s)
			r := start(t, pl, "one", testConfig())
			r.awaitPass(t)
			a.awaitThere(t, c.ListenAddrs())
			a.intercept(func(_ int, w http.ResponseWriter, r *http.Request) bool { return set.wrong(w, r) })
			asked := a.count.Load()
			testkit.Eventually(t, patience, testkit.That("requests", func() bool { return a.count.Load() > asked+20 }))
			if set.says != "" {
				testkit.Eventually(t, patience, testkit.That("it says why", func() bool {
					return strings.Contains(r.Health.Degraded()["ingest items"], set.says)
				}))
			}
			if got := there(fates(t, c.ListenAddrs(), "shop.items.raw")); len(got) != 35 {
				t.Errorf("%d of 35 keys are left", len(got))
			}
			a.intercept(nil)
			a.drop(1, 34)
			a.awaitThere(t, c.ListenAddrs())
			testkit.Eventually(t, patience, testkit.That("nothing is left to tell", func() bool {
				return !strings.Contains(r.Health.Degraded()["ingest items"], "deletes")
			}))
			r.stop()
		})
	}
}

// TestNotModifiedDeletesNothing, nor does it hide what a read before it has left.
func TestNotModifiedDeletesNothing(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 4)
	var same atomic.Int64
	a.intercept(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		tag := fmt.Sprintf(`"%d"`, len(a.ids()))
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			same.Add(1)
			w.WriteHeader(http.StatusNotModified)
			return true
		}
		return false
	})
	c := testkafka.New(t)
	s := a.stream("items", pipeline.Paginate{})
	s.Ingest.Deletes, s.Ingest.Every = &pipeline.Deletes{AtMost: 10, MaxKeys: 1000}, 10*time.Millisecond
	pl := newPipeline(c.ListenAddrs(), s)
	r := start(t, pl, "one", testConfig())
	testkit.Eventually(t, patience, testkit.That("304", func() bool { return same.Load() > 2 }))
	if got := there(fates(t, c.ListenAddrs(), "shop.items.raw")); len(got) != 4 {
		t.Errorf("%v", got)
	}
	a.drop(0, 1)
	testkit.Eventually(t, patience, testkit.That("two of four are held", func() bool {
		return strings.Contains(r.Health.Degraded()["ingest items"], "2 of 4 keys are not shown any more, as 0, 1")
	}))
	allow(t, c.ListenAddrs(), r, "items/")
	a.awaitThere(t, c.ListenAddrs()) // although the API would say that nothing has changed
	before := same.Load()
	testkit.Eventually(t, patience, testkit.That("304 again", func() bool { return same.Load() > before }))
	r.stop()
}

// allow lets the next read of a slice of items delete what is held, as `millrace deletes --allow` does.
func allow(t *testing.T, brokers []string, r *process, slice string) {
	t.Helper()
	_, err := control.Change(t.Context(), control.Config{Pipeline: "shop", Who: "op", Client: []kgo.Opt{kgo.SeedBrokers(brokers...)}}, "items",
		func(s *control.Stream) error {
			h := held(t, brokers, slice)
			s.Deletes = map[string]control.Allowed{slice: {Since: h.Since, Keys: h.Keys}}
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, testkit.That("nothing is held any more", func() bool {
		return !strings.Contains(r.Health.Degraded()["ingest items"], "deletes")
	}))
}

// held is what complete reads of a slice hold.
func held(t *testing.T, brokers []string, slice string) *cursor.Held {
	t.Helper()
	var last cursor.Cursor
	for _, r := range testkit.Records(t, brokers, "shop.ingest.state") {
		if string(r.Key) == slice {
			var err error
			if last, err = cursor.Decode(slice, r.Value); err != nil {
				t.Fatal(err)
			}
		}
	}
	if last.Known == nil || last.Known.Held == nil {
		t.Fatalf("nothing is held: %+v", last.Known)
	}
	return last.Known.Held
}

// TestSlicesDeleteEachTheirOwn: one that cannot be read deletes nothing, and does not hold up another.
func TestSlicesDeleteEachTheirOwn(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 8)
	var broken atomic.Bool
	a.intercept(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		of := strings.TrimPrefix(r.URL.Path, "/items/")
		if of == "odd" && broken.Load() {
			http.Error(w, "no", http.StatusInternalServerError)
			return true
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		page := []item{}
		for _, i := range a.items {
			if (i.ID%2 == 1) == (of == "odd") {
				page = append(page, i)
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": page})
		return true
	})
	c := testkafka.New(t)
	s := a.stream("items", pipeline.Paginate{})
	s.Ingest.Path = "/items/{of}"
	s.Ingest.Slices = &pipeline.Slices{Name: "of", Values: []string{"odd", "even"}}
	s.Ingest.Deletes, s.Ingest.Every = deletes(), 10*time.Millisecond
	pl := newPipeline(c.ListenAddrs(), s)
	r := start(t, pl, "one", testConfig())
	r.awaitPass(t)
	a.awaitThere(t, c.ListenAddrs())
	broken.Store(true)
	a.drop(0, 1, 2)
	want := []string{"1", "3", "4", "5", "6", "7"} // 1 is gone, and its slice cannot be read
	testkit.Eventually(t, patience, func() error {
		if d := cmp.Diff(want, there(fates(t, c.ListenAddrs(), "shop.items.raw"))); d != "" {
			return fmt.Errorf("%s", d)
		}
		return nil
	})
	broken.Store(false)
	a.awaitThere(t, c.ListenAddrs())
	r.stop()
}

// TestIncrementalStreamsAreReadWholeAtTimes: passes ask for changes, and every so often one asks for everything. What
// it shows that has not changed is not written again.
func TestIncrementalStreamsAreReadWholeAtTimes(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 25)
	c := testkafka.New(t)
	s := a.stream("items", byOffset(pipeline.StopRule{When: "empty"}))
	s.Ingest.Incremental = &pipeline.Incremental{Field: "updated_at", Param: "since"}
	s.Ingest.Version, s.Ingest.Every = "updated_at", 10*time.Millisecond
	s.Ingest.Deletes = deletes()
	s.Ingest.Deletes.Every = 50 * time.Millisecond
	pl := newPipeline(c.ListenAddrs(), s)
	r := start(t, pl, "one", testConfig())
	r.awaitPass(t)
	a.awaitThere(t, c.ListenAddrs())
	whole := func(uri string) bool { return !strings.Contains(uri, "since=") && strings.Contains(uri, "offset=0") }
	a.awaitPasses(t, 2, whole)
	a.awaitPasses(t, 2, func(uri string) bool { return strings.Contains(uri, "since=") })
	a.drop(2, 24)
	a.update(0, "new", time.Unix(1_800_000_000, 0))
	a.awaitThere(t, c.ListenAddrs())
	a.awaitPasses(t, 2, whole)
	r.stop()
	r = start(t, pl, "two", testConfig()) // with what is restored
	a.awaitPasses(t, 2, whole)
	r.stop()
	for key, texts := range fates(t, c.ListenAddrs(), "shop.items.raw") {
		want := []string{"text " + key}
		switch key {
		case "0":
			want = append(want, "new")
		case "2", "24":
			want = append(want, "gone")
		}
		if d := cmp.Diff(want, texts); d != "" {
			t.Errorf("key %s: %s", key, d)
		}
	}
}

// TestATakenOverReadDeletesNothing: a read that one process has begun and another ends has no marks of its first pages.
func TestATakenOverReadDeletesNothing(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 60)
	c := testkafka.New(t)
	s := a.stream("items", byCursor)
	s.Ingest.Deletes, s.Ingest.Every = deletes(), 10*time.Millisecond
	s.Ingest.Deletes.Steady = true
	pl := newPipeline(c.ListenAddrs(), s)
	r := start(t, pl, "one", testConfig())
	r.awaitPass(t)
	a.awaitThere(t, c.ListenAddrs())
	var stuck atomic.Bool
	a.intercept(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.RawQuery, "cursor=40") {
			stuck.Store(true)
			http.Error(w, "later", http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	testkit.Eventually(t, patience, testkit.That("a read that is stuck", stuck.Load))
	r.stop()
	a.drop(5)
	a.intercept(nil)
	asked := len(a.seen())
	r = start(t, pl, "two", testConfig())
	a.awaitThere(t, c.ListenAddrs())
	r.stop()
	if first := a.seen()[asked]; !strings.Contains(first, "cursor=") {
		t.Errorf("the pass began again, with %s", first)
	}
	for key, texts := range fates(t, c.ListenAddrs(), "shop.items.raw") {
		if want := 1; key != "5" && len(texts) != want {
			t.Errorf("key %s: %v", key, texts)
		}
	}
}
