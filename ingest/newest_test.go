package ingest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
)

// newsFeed is an API that answers newest first, in pages with numbers, and can be asked for nothing else.
func newsFeed(t testing.TB, a *archive, pinned bool) (s pipeline.Stream, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var pages []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		pages = append(pages, r.URL.Query().Get("page"))
		mu.Unlock()
		page := number(r, "page")
		a.mu.Lock()
		before := a.before
		a.mu.Unlock()
		if before != nil {
			before("", "", page)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		found := slices.Clone(a.items)
		slices.SortStableFunc(found, func(x, y item) int { return strings.Compare(y.Updated, x.Updated) })
		if pinned {
			found = append([]item{a.items[0]}, slices.DeleteFunc(found, func(i item) bool { return i.ID == 0 })...)
		}
		from := min((page-1)*archivePage, len(found))
		_ = json.NewEncoder(w).Encode(map[string]any{"data": found[from:min(from+archivePage, len(found))]})
	}))
	t.Cleanup(server.Close)
	s = (&archive{Server: server}).stream(time.Now(), func(in *pipeline.Ingest) {
		in.Incremental = &pipeline.Incremental{Field: "updated_at", Order: "newest_first"}
		in.Paginate = pipeline.Paginate{Page: &pipeline.PageNumber{Param: "page", Start: 1, Size: archivePage, Stop: pipeline.StopRule{When: "empty"}}}
	})
	return s, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(pages)
	}
}

// TestNewestFirst: passes after the first end at what is known, write nothing that has not changed, and miss nothing,
// with a record that is pinned to the top, too.
func TestNewestFirst(t *testing.T) {
	for name, pinned := range map[string]bool{"plain": false, "pinned": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &archive{}
			a.add(200, time.Now().Add(-300*time.Hour), time.Hour)
			s, asked := newsFeed(t, a, pinned)
			c := testkafka.New(t)
			p := newPipeline(c.ListenAddrs(), s)
			r := start(t, p, "one", testConfig())
			r.awaitPasses(t, 4)
			if d := cmp.Diff(a.truth(), newestOf(t, c.ListenAddrs(), 200)); d != "" {
				t.Error(d)
			}
			for i := range 25 {
				a.touch(i*7, fmt.Sprint("changed ", i))
			}
			r.awaitPasses(t, 3)
			r.stop()
			if d := cmp.Diff(a.truth(), newestOf(t, c.ListenAddrs(), 225)); d != "" {
				t.Error(d)
			}
			n := len(asked())
			r = start(t, p, "two", testConfig())
			r.awaitPasses(t, 3)
			r.stop()
			for _, page := range asked()[n:] {
				if page != "1" && page != "2" && page != "3" && page != "4" { // what is new is on three
					t.Errorf("page %s is asked for, after all was known", page)
				}
			}
			newestOf(t, c.ListenAddrs(), 225)
		})
	}
}

// newestOf is [newestTexts] where raw has n records.
func newestOf(t testing.TB, brokers []string, n int) map[string]string {
	t.Helper()
	texts, got := newestTexts(t, brokers)
	if got != n {
		t.Errorf("%d records were written, want %d", got, n)
	}
	return texts
}

// TestNewestFirstIsInterrupted amid its walk, while records arrive: since moves only when a walk came down to what is
// known.
func TestNewestFirstIsInterrupted(t *testing.T) {
	t.Parallel()
	a := &archive{}
	a.add(100, time.Now().Add(-300*time.Hour), time.Hour)
	s, _ := newsFeed(t, a, false)
	c := testkafka.New(t)
	p := newPipeline(c.ListenAddrs(), s)
	r := start(t, p, "one", testConfig())
	r.awaitPasses(t, 2)
	r.stop()
	a.add(50, time.Now().Add(-2*time.Hour), time.Minute) // five pages
	reached, hold := make(chan struct{}), make(chan struct{})
	var once sync.Once
	a.intercept(func(_, _ string, page int) {
		if page == 3 {
			once.Do(func() { close(reached) })
			<-hold
		}
	})
	r = start(t, p, "two", testConfig())
	<-reached
	testkit.Eventually(t, patience, testkit.That("two pages are committed", func() bool { return r.metric(t, "millrace_ingest_pages_total") >= 2 }))
	r.stop() // amid the walk
	close(hold)
	a.intercept(nil)
	a.add(30, time.Now().Add(-time.Hour), time.Minute) // push the others down
	for i := range 10 {
		a.touch(i, fmt.Sprint("changed ", i))
	}
	r = start(t, p, "three", testConfig())
	r.awaitPasses(t, 3)
	r.stop()
	a.same(t, c.ListenAddrs())
}

// TestNotNewestFirst: where the file is wrong about the order, nothing is missed, and a notice says so.
func TestNotNewestFirst(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	a.add(50, time.Now().Add(-300*time.Hour), time.Hour)
	c := testkafka.New(t)
	s := a.stream(time.Now(), func(in *pipeline.Ingest) {
		in.Incremental = &pipeline.Incremental{Field: "updated_at", Order: "newest_first"}
	})
	r := start(t, newPipeline(c.ListenAddrs(), s), "one", testConfig())
	r.awaitPasses(t, 2)
	a.add(5, time.Now().Add(-time.Hour), time.Minute)
	r.awaitPasses(t, 2)
	r.stop()
	a.same(t, c.ListenAddrs())
	if !strings.Contains(r.log.String(), "oldest first") {
		t.Errorf("log:\n%s", r.log)
	}
}
