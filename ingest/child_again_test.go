package ingest_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
)

// order writes a revision of an order to the parent's raw topic.
func order(t testing.TB, brokers []string, id, revision int) {
	t.Helper()
	produce(t, brokers, &kgo.Record{Topic: "shop.orders.raw", Key: []byte(strconv.Itoa(id)), Value: fmt.Appendf(nil, `{"id":%d,"revision":%d}`, id, revision)})
}

// TestChildWhosePositionExpires: an API that does not know the position any more from which a child goes on is asked
// for everything.
func TestChildWhosePositionExpires(t *testing.T) {
	t.Parallel()
	a := newTree(t)
	a.grow("/orders", 1)
	a.grow("/orders/1/items", 3)
	var token atomic.Int64
	token.Store(1)
	a.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Count(r.URL.Path, "/") < 3 {
			return false
		}
		now := strconv.FormatInt(token.Load(), 10)
		if sync := r.URL.Query().Get("sync"); sync != "" && sync != now {
			http.Error(w, "the token has expired", http.StatusGone)
			return true
		}
		answer(w, map[string]any{"data": []any{map[string]any{"id": 1, "revision": token.Load()}}, "token": now})
		return true
	})
	c := testkafka.New(t)
	streams := a.orders()
	streams[1].Ingest.Paginate = pipeline.Paginate{Cursor: &pipeline.BodyCursor{
		Next: []string{"next"}, Param: "cursor", AbsentEnds: true, Keep: &pipeline.Keep{Field: []string{"token"}, Param: "sync"},
	}}
	r := start(t, newPipeline(c.ListenAddrs(), streams...), "one", testConfig())
	r.awaitPass(t)
	token.Store(2)
	order(t, c.ListenAddrs(), 1, 2)
	testkit.Eventually(t, patience, func() error {
		if got, _ := newestItems(t, c.ListenAddrs(), "shop.items.raw"); got["/orders/1/items/1"] != 2 {
			return fmt.Errorf("raw has %v", got)
		}
		return nil
	})
	r.stop()
}

// TestNoticesOfChildrenAreCleared when what they tell of has passed, although each pass is a slice of its own.
func TestNoticesOfChildrenAreCleared(t *testing.T) {
	t.Parallel()
	a := newTree(t)
	a.grow("/orders", 1)
	a.grow("/orders/1/items", 2)
	var forbidden atomic.Bool
	forbidden.Store(true)
	a.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		switch second := r.URL.Query().Get("cursor") != ""; {
		case strings.Count(r.URL.Path, "/") < 3:
			return false
		case second && forbidden.Load():
			http.Error(w, "{}", http.StatusForbidden)
		case second:
			answer(w, map[string]any{"data": []any{map[string]any{"id": 2, "revision": 1}}, "next": nil})
		default:
			answer(w, map[string]any{"data": []any{map[string]any{"id": 1, "revision": 1}}, "next": "b"})
		}
		return true
	})
	c := testkafka.New(t)
	streams := a.orders()
	streams[1].Ingest.Errors = []pipeline.ErrorRule{{Statuses: []pipeline.StatusRange{{From: 403, To: 403}}, Do: "skip"}}
	streams[1].Ingest.Paginate = pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"next"}, Param: "cursor"}}
	r := start(t, newPipeline(c.ListenAddrs(), streams...), "one", testConfig())
	testkit.Eventually(t, patience, testkit.That("it is told of", func() bool {
		return strings.Contains(r.Health.Degraded()["ingest items"], "was passed over")
	}))
	r.awaitPass(t)
	forbidden.Store(false)
	order(t, c.ListenAddrs(), 1, 2)
	a.awaitItems(t, c.ListenAddrs())
	testkit.Eventually(t, patience, testkit.That("nothing is told of", func() bool { return r.Health.Degraded()["ingest items"] == "" }))
	r.stop()
}

// TestNothingIsSaidByTheFirstPageAlone: 404 for a page that follows is an error, whoever asks for it ahead.
func TestNothingIsSaidByTheFirstPageAlone(t *testing.T) {
	t.Parallel()
	a := newTree(t)
	a.grow("/orders", 4)
	for i := range 4 {
		a.grow(fmt.Sprintf("/orders/%d/items", i+1), 95)
	}
	var open atomic.Bool
	var asked atomic.Int64
	a.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if page, _ := strconv.Atoi(r.URL.Query().Get("page")); page < 3 || strings.Count(r.URL.Path, "/") < 3 || open.Load() {
			return false
		}
		asked.Add(1)
		http.NotFound(w, r)
		return true
	})
	c := testkafka.New(t)
	r := start(t, newPipeline(c.ListenAddrs(), a.orders()...), "one", testConfig())
	testkit.Eventually(t, patience, testkit.That("they fail", func() bool { return r.children(t, "items", "failing") == 4 && asked.Load() > 20 }))
	if n := r.metric(t, "millrace_ingest_children_passed_over_total"); n != 0 {
		t.Errorf("%v children were passed over", n)
	}
	open.Store(true)
	a.awaitItems(t, c.ListenAddrs())
	r.stop()
}

// TestNothingDeletesNothing: 404 in the place of a child's list may stand for a record that is about to go, or for an
// API in trouble. The child keeps what it has, and it is told why; the next complete read tells what is gone.
func TestNothingDeletesNothing(t *testing.T) {
	t.Parallel()
	a, p, r := oneOrder(t, 3, deletes())
	var none atomic.Bool
	a.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if !none.Load() || strings.Count(r.URL.Path, "/") < 3 {
			return false
		}
		http.NotFound(w, r)
		return true
	})
	none.Store(true)
	order(t, p.Kafka.Brokers, 1, 2)
	testkit.Eventually(t, patience, testkit.That("it is told of", func() bool {
		return strings.Contains(r.Health.Degraded()["ingest items"], "nothing at its first page: HTTP 404")
	}))
	a.awaitItems(t, p.Kafka.Brokers)
	none.Store(false)
	a.mu.Lock()
	a.lists["/orders/1/items"] = []string{"1", "3"}
	a.mu.Unlock()
	order(t, p.Kafka.Brokers, 1, 3)
	a.awaitItems(t, p.Kafka.Brokers)
	testkit.Eventually(t, patience, testkit.That("nothing is told of", func() bool { return r.Health.Degraded()["ingest items"] == "" }))
	r.stop()
}

// TestAFeedLeavesNothingBehind: what is committed after the work on a partition has ended does not count as this
// process's any more.
func TestAFeedLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	a := newTree(t)
	a.grow("/orders", 1)
	a.grow("/orders/1/items", 1)
	c := testkafka.New(t)
	var hold atomic.Bool
	held, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	c.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if hold.Load() {
			c.SleepControl(func() {
				once.Do(func() { close(held) })
				<-release
			})
		}
		return nil, nil, false
	})
	r := start(t, newPipeline(c.ListenAddrs(), a.orders()...), "one", testConfig())
	r.awaitPass(t)
	hold.Store(true)
	order(t, c.ListenAddrs(), 2, 1)
	<-held
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.stop()
	}()
	for range 50 { // time enough for whoever would leave before all is committed
		if r.children(t, "items", "known") == 0 {
			break
		}
		testkit.Pause(t.Context(), 10*time.Millisecond)
	}
	close(release)
	<-stopped
	got := map[string]float64{}
	for _, state := range []string{"known", "due", "failing"} {
		got[state] = r.children(t, "items", state)
	}
	if d := cmp.Diff(map[string]float64{"known": 0, "due": 0, "failing": 0}, got); d != "" {
		t.Errorf("children of a process that has stopped: %s", d)
	}
}

// TestNotFoundDeletes where the pipeline file says that it is the API's word: 404 or 410 for a child takes what was
// fetched for it away, and what comes back is there again. When the API has nothing of anything, nothing is deleted.
func TestNotFoundDeletes(t *testing.T) {
	t.Parallel()
	a := newTree(t)
	a.grow("/orders", 20)
	for i := range 20 {
		a.grow(fmt.Sprintf("/orders/%d/items", i+1), 2)
	}
	var none atomic.Int64 // children up to this one
	a.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		var id int64
		if _, err := fmt.Sscanf(r.URL.Path, "/orders/%d/items", &id); err != nil || id > none.Load() {
			return false
		}
		w.WriteHeader([]int{http.StatusNotFound, http.StatusGone}[id%2])
		return true
	})
	c := testkafka.New(t)
	streams := a.orders()
	streams[1].Ingest.Deletes = deletes()
	streams[1].Ingest.Deletes.AtMost, streams[1].Ingest.Deletes.Missing = 10, true
	r := start(t, newPipeline(c.ListenAddrs(), streams...), "one", testConfig())
	r.awaitPass(t)
	there := func(least, most int) {
		t.Helper()
		testkit.Eventually(t, patience, func() error {
			keys := map[string]bool{}
			for _, rec := range testkit.Records(t, c.ListenAddrs(), "shop.items.raw") {
				if delete(keys, string(rec.Key)); rec.Value != nil {
					keys[string(rec.Key)] = true
				}
			}
			if n := len(keys); n < least || n > most {
				return fmt.Errorf("%d items are there, want %d to %d", n, least, most)
			}
			return nil
		})
	}
	there(40, 40)
	none.Store(2)
	order(t, c.ListenAddrs(), 1, 2)
	order(t, c.ListenAddrs(), 2, 2)
	there(36, 36)
	none.Store(0)
	order(t, c.ListenAddrs(), 1, 3)
	there(38, 38)
	none.Store(20)
	for i := range 20 {
		order(t, c.ListenAddrs(), i+1, 4)
	}
	testkit.Eventually(t, patience, testkit.That("it is told of", func() bool {
		return strings.Contains(r.Health.Degraded()["ingest items"], "nothing for 8 records of orders in a row")
	}))
	testkit.Eventually(t, patience, testkit.That("all are asked for", func() bool {
		return r.metric(t, "millrace_ingest_children_passed_over_total") == 22
	}))
	there(38-7*2, 38-7*2) // the second has none, and is not counted
	r.stop()
}
