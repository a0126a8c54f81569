package ingest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
)

// moving is an API of four pages of two records, without versions. Record 5 changes while pages 2 to 4 are in flight,
// and moves from one of them to another: the page that has it as it was is answered before, and the one that has it as
// it is after the change. If slips, it moves on to page 3 then, which has answered, so that it is on none of these two
// any more.
type moving struct {
	*httptest.Server
	old, changed string // the pages
	slips        bool
	reached      chan struct{} // closed when the changed page is asked for
	answered     chan struct{} // closed when the old one is answered

	mu    sync.Mutex
	asked map[string]int
}

func newMoving(t testing.TB, old, changed string) *moving {
	a := &moving{old: old, changed: changed, reached: make(chan struct{}), answered: make(chan struct{}), asked: map[string]int{}}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

// awaited waits for a channel to be closed, and reports whether it was before the request ended.
func awaited(r *http.Request, c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-r.Context().Done():
		return false
	}
}

func (a *moving) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	page := r.URL.Query().Get("page")
	a.mu.Lock()
	a.asked[page]++
	first := a.asked[page] == 1
	a.mu.Unlock()
	ids := map[string][]int{"0": {1, 2}, "1": {3, 4}, "2": {6, 7}, "3": {8}}[page]
	texts := map[int]string{}
	switch page {
	case a.old:
		if first {
			ids, texts[5] = append(ids[:1:1], 5), "as it was"
			if !awaited(r, a.reached) {
				return
			}
			defer close(a.answered)
		}
	case "2":
		if a.slips && !first {
			ids, texts[5] = append(ids[:1:1], 5), "changed"
		}
	case a.changed:
		if a.slips && !first {
			break
		}
		if first {
			close(a.reached)
		}
		if !awaited(r, a.answered) {
			return
		}
		ids, texts[5] = append(ids[:1:1], 5), "changed"
	}
	data := []item{}
	for _, id := range ids {
		text, ok := texts[id]
		if !ok {
			text = fmt.Sprint("text ", id)
		}
		data = append(data, item{ID: id, Text: text})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
}

// TestARecordMovesBetweenPagesInFlight: where a record changes and moves while several pages are asked for, and no
// version tells which of two contents is newer, the position of their pages does not decide.
func TestARecordMovesBetweenPagesInFlight(t *testing.T) {
	for name, pages := range map[string][2]string{"forward": {"3", "1"}, "back": {"1", "3"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newMoving(t, pages[0], pages[1])
			if d := cmp.Diff(item{ID: 5, Text: "changed"}, a.lastOfFive(t)); d != "" {
				t.Errorf("the newest of record 5 in raw:\n%s", d)
			}
			want := map[string]int{"1": 1, "3": 2}
			if name == "forward" { // page 3 has lost the record, and page 1 has it still
				want["1"] = 2
			}
			if d := cmp.Diff(want, map[string]int{"1": a.asked["1"], "3": a.asked["3"]}); d != "" {
				t.Errorf("how often the pages that disagree were asked for: %s", d)
			}
		})
	}
}

// lastOfFive is the newest of record 5 in raw when a pass has ended.
func (a *moving) lastOfFive(t *testing.T) (last item) {
	t.Helper()
	brokers := testkafka.New(t).ListenAddrs()
	p := newPipeline(brokers, pipeline.Stream{Name: "items", Ingest: pipeline.Ingest{
		HTTP: pipeline.HTTP{BaseURL: a.URL, Timeout: patience, Retry: pipeline.Retry{Initial: 1, Max: 1, Attempts: 2}},
		Path: "/items", Records: []string{"data"}, Key: []string{"id"}, Concurrency: 4,
		Paginate: pipeline.Paginate{Page: &pipeline.PageNumber{Param: "page", Size: 2, Stop: pipeline.StopRule{When: "empty"}}},
	}})
	r := start(t, p, "one", testConfig())
	r.awaitPass(t)
	r.stop()
	for _, rec := range testkit.Records(t, brokers, "shop.items.raw") {
		if string(rec.Key) == "5" {
			if err := json.Unmarshal(rec.Value, &last); err != nil {
				t.Fatal(err)
			}
		}
	}
	return last
}

// TestARecordSlipsAwayWhileItsPageIsAskedForAgain: neither of the two pages that disagreed about it shows it any more,
// and the one that was thrown away may have had the newer content. So the pages are walked over once more, one at a
// time, and what they show then is the newest.
func TestARecordSlipsAwayWhileItsPageIsAskedForAgain(t *testing.T) {
	for name, pages := range map[string][2]string{"forward": {"1", "3"}, "back": {"3", "1"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newMoving(t, pages[0], pages[1])
			a.slips = true
			if d := cmp.Diff(item{ID: 5, Text: "changed"}, a.lastOfFive(t)); d != "" {
				t.Errorf("the newest of record 5 in raw:\n%s", d)
			}
			if n := a.asked["0"]; n != 2 {
				t.Errorf("the first page was asked for %d times, want 2", n)
			}
		})
	}
}
