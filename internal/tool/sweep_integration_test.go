//go:build integration

package tool

import (
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
)

// market is an API whose orders change all the time.
type market struct {
	mu     sync.Mutex
	orders map[int]int // total by id
	served int
}

func (m *market) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.served++
	var list []string
	for id, total := range m.orders {
		list = append(list, fmt.Sprintf(`{"id": %d, "total": %d}`, id, total))
	}
	_, _ = fmt.Fprintf(w, "[%s]", strings.Join(list, ","))
}

func (m *market) set(from, below, total int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := from; id < below; id++ {
		m.orders[id] = total
	}
}

func (m *market) drop(from, below int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := from; id < below; id++ {
		delete(m.orders, id)
	}
}

func (m *market) shows() map[int]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.orders)
}

func totals(t *testing.T, db *sql.DB) map[int]int {
	t.Helper()
	found, err := db.QueryContext(t.Context(), "SELECT id, total FROM orders")
	if err != nil {
		return nil // not there yet
	}
	defer func() { _ = found.Close() }()
	out := map[int]int{}
	for found.Next() {
		var id, total int
		if err := found.Scan(&id, &total); err != nil {
			t.Fatal(err)
		}
		out[id] = total
	}
	return out
}

// TestSweepUnderTraffic: two processes run, the first orders change all the time, the API shows fewer, and some come
// back just when the tombstones are written. Each time the table equals the API in the end, and a reader never misses
// an order that the API has always shown.
func TestSweepUnderTraffic(t *testing.T) {
	t.Parallel()
	const always, gone, back = 1000, 1040, 1080
	api := &market{orders: map[int]int{}}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	x := newOnServers(t, server.URL)
	file, db := x.file, x.db
	api.set(0, back, 1)
	one := launch(t, "millrace", "run", file, "--listen", "127.0.0.1:0")
	two := launch(t, "millrace", "run", file, "--listen", "127.0.0.1:0", "--instance", "two")
	equal := func(what string) {
		t.Helper()
		testkit.Eventually(t, patience, testkit.That(what, func() bool { return maps.Equal(totals(t, db), api.shows()) }))
	}
	equal("the first rows")

	var beside sync.WaitGroup
	stop := make(chan struct{})
	each := func(every time.Duration, f func()) {
		beside.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					f()
				}
			}
		})
	}
	each(10*time.Millisecond, func() {
		id := rand.N(always)
		api.set(id, id+1, rand.N(1000))
	})
	each(50*time.Millisecond, func() {
		var n int
		if err := db.QueryRow("SELECT COUNT(*) FROM orders WHERE id < ?", always).Scan(&n); err != nil || n != always {
			t.Errorf("the reader sees %d orders, want %d: %v", n, always, err)
		}
	})
	for round := range 5 {
		api.set(always, back, round)
		testkit.Eventually(t, patience, testkit.That("all rows", func() bool { return len(totals(t, db)) == back }))
		api.drop(always, back)
		sweep := launch(t, "millrace", "reset", file, "orders", "--sweep", "--yes")
		testkit.Eventually(t, patience, testkit.That("what the pass did not show", func() bool {
			select {
			case <-sweep.ended:
				return true
			default:
				return strings.Contains(sweep.stdout.String(), "the pass did not show 80 of 1080 keys")
			}
		}))
		api.set(gone, back, 100+round) // while it deletes
		if code := sweep.exit(t).ExitCode(); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		testkit.Eventually(t, patience, testkit.That("the rows of what came back, and none of what is gone", func() bool {
			got := totals(t, db)
			for id := always; id < back; id++ {
				if total, ok := got[id]; ok != (id >= gone) || ok && total != 100+round {
					return false
				}
			}
			return len(got) == always+back-gone
		}))
		t.Log(strings.TrimSpace(sweep.stdout.String()))
	}
	close(stop)
	beside.Wait()
	equal("the last rows")
	for _, p := range []*child{one, two} {
		if lines := p.disturbed(); lines != "" {
			t.Errorf("disturbed:\n%s", lines)
		}
	}
}
