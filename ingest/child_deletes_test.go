package ingest_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/ingest"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
)

// forget deletes an order with its items.
func (a *tree) forget(order string) {
	a.drop("/orders", order)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.lists, "/orders/"+order+"/items")
}

// restore creates an order again, without items.
func (a *tree) restore(order string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.lists["/orders"], order) {
		a.lists["/orders"] = append(a.lists["/orders"], order)
	}
	a.revision["/orders/"+order]++
}

// has reports whether an order is there.
func (a *tree) has(order string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Contains(a.lists["/orders"], order)
}

// churn changes an order at random: an item of it is made, revised or deleted, and the order with it; or it is deleted
// with all of them, or created again.
func (a *tree) churn(rnd *rand.Rand, orders, items int) {
	order := strconv.Itoa(1 + rnd.IntN(orders))
	list, item := "/orders/"+order+"/items", strconv.Itoa(1+rnd.IntN(items))
	switch {
	case !a.has(order):
		a.restore(order)
		return
	case rnd.IntN(12) == 0:
		a.forget(order)
		return
	case rnd.IntN(3) == 0:
		a.drop(list, item)
	default:
		a.mu.Lock()
		if !slices.Contains(a.lists[list], item) {
			a.lists[list] = append(a.lists[list], item)
		}
		a.revision[list+"/"+item]++
		a.mu.Unlock()
	}
	a.revise("/orders/" + order)
}

// TestWhatIsDeletedGoesThroughTakeOvers: items are deleted, and orders with all of their items, while processes come
// and go, also in the middle of a read, without a word. In the end raw has what the API has, although no order changes
// any more.
func TestWhatIsDeletedGoesThroughTakeOvers(t *testing.T) {
	t.Parallel()
	const orders, items = 30, 35
	a := newTree(t)
	a.grow("/orders", orders)
	for i := range orders {
		a.grow(fmt.Sprintf("/orders/%d/items", i+1), items/2)
	}
	a.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if parts := strings.Split(r.URL.Path, "/"); len(parts) > 3 && !a.has(parts[2]) {
			http.NotFound(w, r)
			return true
		}
		testkit.Pause(r.Context(), time.Millisecond) // pages that are on their way when a process goes
		return false
	})
	c := testkafka.New(t)
	streams := a.orders()
	streams[0].Ingest.Every, streams[0].Ingest.Deletes = 20*time.Millisecond, deletes()
	streams[1].Ingest.Deletes, streams[1].Ingest.ForEach.OnDelete = deletes(), "delete"
	p := newPipeline(c.ListenAddrs(), streams...)
	abrupt := testConfig()
	abrupt.Drain = 1
	rnd := rand.New(rand.NewPCG(3, 5))
	running := []*process{start(t, p, "p0", abrupt)}
	for round := range 8 {
		seen := a.count("/orders")["/orders"]
		testkit.Eventually(t, patience, func() error {
			a.churn(rnd, orders, items)
			if n := a.count("/orders")["/orders"]; n < seen+2 {
				return fmt.Errorf("%d reads of the orders", n-seen)
			}
			return nil
		})
		running = append(running, start(t, p, fmt.Sprint("p", round+1), []ingest.Config{abrupt, testConfig()}[round%2]))
		if round%2 == 0 {
			running[0].stop()
			running = running[1:]
		}
	}
	for _, r := range running[1:] {
		r.stop()
	}
	a.awaitItems(t, c.ListenAddrs())
	running[0].stop()
}
