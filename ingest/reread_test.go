package ingest_test

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
)

// drop deletes records of a list.
func (a *tree) drop(path string, names ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lists[path] = slices.DeleteFunc(slices.Clone(a.lists[path]), func(name string) bool { return slices.Contains(names, name) })
}

// cursorOf is the cursor of a slice that was committed last.
func cursorOf(t testing.TB, brokers []string, slice string) (c cursor.Cursor) {
	t.Helper()
	if state := stateOf(t, brokers)[slice]; state != "" {
		var err error
		if c, err = cursor.Decode(slice, []byte(state)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// oneOrder is an API with one order of so many items, of which those that it does not show any more are deleted; and a
// process that has read them.
func oneOrder(t testing.TB, items int, deletes *pipeline.Deletes) (*tree, *pipeline.Pipeline, *process) {
	t.Helper()
	a := newTree(t)
	a.grow("/orders", 1)
	a.grow("/orders/1/items", items)
	streams := a.orders()
	streams[1].Ingest.Deletes = deletes
	p := newPipeline(testkafka.New(t).ListenAddrs(), streams...)
	r := start(t, p, "one", testConfig())
	r.awaitPass(t)
	return a, p, r
}

// TestAChildReadByTwoProcessesIsReadOnceMore: the second of them does not know what the first pages showed, so it
// deletes nothing; and nothing else would have the child read again, as its record does not change any more.
func TestAChildReadByTwoProcessesIsReadOnceMore(t *testing.T) {
	t.Parallel()
	steady := deletes()
	steady.Steady = true
	a, p, r := oneOrder(t, 25, steady)
	var stuck atomic.Bool
	a.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("page") != "2" || strings.Count(r.URL.Path, "/") < 3 {
			return false
		}
		stuck.Store(true)
		http.Error(w, "later", http.StatusServiceUnavailable)
		return true
	})
	a.drop("/orders/1/items", "3")
	order(t, p.Kafka.Brokers, 1, 2)
	testkit.Eventually(t, patience, testkit.That("a read that is stuck behind its first page", func() bool {
		of := cursorOf(t, p.Kafka.Brokers, "items/1")
		return stuck.Load() && !of.Done && of.Next.Index == 1
	}))
	r.stop()
	a.intercept(nil)
	r = start(t, p, "two", testConfig())
	a.awaitItems(t, p.Kafka.Brokers)
	r.awaitPass(t)
	r.stop()
	if n := a.count("/orders/")["/orders/1/items"]; n != 3 {
		t.Errorf("the items were read from the first page on %d times, want 3: at first, when the order changed, and once more", n)
	}
}

// TestAChildWhoseReadIsNotConfirmedIsReadOnceMore: keys may have slipped between its pages, and nothing but another
// read tells.
func TestAChildWhoseReadIsNotConfirmedIsReadOnceMore(t *testing.T) {
	t.Parallel()
	a, p, r := oneOrder(t, 25, deletes())
	a.drop("/orders/1/items", "3")
	order(t, p.Kafka.Brokers, 1, 2)
	a.awaitItems(t, p.Kafka.Brokers)
	r.stop()
}

// TestAChildIsReadWhenAPersonAllows that what was too much at once is deleted.
func TestAChildIsReadWhenAPersonAllows(t *testing.T) {
	t.Parallel()
	a, p, r := oneOrder(t, 5, &pipeline.Deletes{AtMost: 10, MaxKeys: 1000})
	a.drop("/orders/1/items", "2", "3")
	order(t, p.Kafka.Brokers, 1, 2)
	testkit.Eventually(t, patience, testkit.That("two of five are held", func() bool {
		return strings.Contains(r.Health.Degraded()["ingest items"], "2 of 5 keys are not shown any more")
	}))
	allow(t, p.Kafka.Brokers, r, "items/1")
	a.awaitItems(t, p.Kafka.Brokers)
	r.stop()
}

// TestAReadOfAStreamWithoutEveryIsMadeOnceMore where two processes have made it: there would be no next one.
func TestAReadOfAStreamWithoutEveryIsMadeOnceMore(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 60)
	c := testkafka.New(t)
	s := a.stream("items", byCursor)
	s.Ingest.Deletes = deletes()
	s.Ingest.Deletes.Steady = true
	pl := newPipeline(c.ListenAddrs(), s)
	r := start(t, pl, "one", testConfig())
	r.awaitPass(t)
	r.stop()
	var stuck atomic.Bool
	a.intercept(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.RawQuery, "cursor=40") {
			return false
		}
		stuck.Store(true)
		http.Error(w, "later", http.StatusServiceUnavailable)
		return true
	})
	a.drop(5)
	r = start(t, pl, "two", testConfig())
	testkit.Eventually(t, patience, testkit.That("a read that is stuck", func() bool {
		return stuck.Load() && cursorOf(t, c.ListenAddrs(), "items/").Next.Index > 1
	}))
	r.stop()
	a.intercept(nil)
	r = start(t, pl, "three", testConfig())
	r.awaitPass(t)
	r.stop()
	if got := len(there(fates(t, c.ListenAddrs(), "shop.items.raw"))); got != 59 {
		t.Errorf("%d items are there when the pass has ended, want 59", got)
	}
}
