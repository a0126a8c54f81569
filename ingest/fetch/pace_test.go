package fetch_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/pipeline"
)

// quota is an API that allows so many requests in each period, says so in its answers, and turns away what is more.
type quota struct {
	mu      sync.Mutex
	limit   int
	per     time.Duration
	style   string
	began   time.Time
	used    int
	refused int
	served  int
	flying  int
	most    int // in flight
	bears   int // requests in flight; 0: any number
}

func (q *quota) RoundTrip(r *http.Request) (*http.Response, error) {
	q.mu.Lock()
	q.flying++
	q.most = max(q.most, q.flying)
	over := q.bears > 0 && q.flying > q.bears
	q.mu.Unlock()
	time.Sleep(20 * time.Millisecond) // of the bubble's clock
	q.mu.Lock()
	defer q.mu.Unlock()
	q.flying--
	if over {
		q.refused++
		return answer(r, http.StatusServiceUnavailable, ""), nil
	}
	now := time.Now()
	if now.Sub(q.began) >= q.per {
		q.began, q.used = now, 0
	}
	q.used++
	left := max(0, q.limit-q.used)
	in := q.began.Add(q.per).Sub(now)
	var headers []string
	switch q.style {
	case "draft":
		headers = []string{"RateLimit-Policy", `"burst";q=120;w=60,"daily";q=1000000;w=86400`, "RateLimit",
			fmt.Sprintf(`"daily";r=999999;t=80000, "burst";r=%d;t=%d`, left, int((in+time.Second-1)/time.Second))}
	case "epoch":
		headers = []string{"X-RateLimit-Limit", strconv.Itoa(q.limit), "X-RateLimit-Remaining", strconv.Itoa(left), "X-RateLimit-Reset", strconv.FormatInt(now.Add(in+time.Second-1).Unix(), 10)}
	case "seconds":
		headers = []string{"RateLimit-Limit", fmt.Sprintf("%d, %d;w=60", q.limit, q.limit), "RateLimit-Remaining", strconv.Itoa(left), "RateLimit-Reset", strconv.Itoa(int((in + time.Second - 1) / time.Second))}
	}
	if q.limit > 0 && q.used > q.limit {
		q.refused++
		return answer(r, http.StatusTooManyRequests, "", append(headers, "Retry-After", "1")...), nil
	}
	q.served++
	return answer(r, http.StatusOK, "[]", headers...), nil
}

// run has so many processes ask n times each, by 20 goroutines.
func (q *quota) run(t *testing.T, processes, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for range processes {
		var budgets fetch.Budgets
		h := settings()
		h.Retry.Attempts = 1000
		budgets.For(h).Share(1, processes)
		cl := fetch.NewClient(h, q, budgets.For(h), fetch.NewMemory(1<<20, 1<<20, ""))
		if _, err := get(t.Context(), cl, "https://api.test/v1"); err != nil { // it learns
			t.Fatal(err)
		}
		left := make(chan struct{}, n)
		for range n {
			left <- struct{}{}
		}
		close(left)
		for range 20 {
			wg.Go(func() {
				for range left {
					if _, err := get(t.Context(), cl, "https://api.test/v1"); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
}

// TestQuotaIsLearned: what answers say of a quota is kept to, by several processes together, and used.
//
// Guards against airbytehq/airbyte#11899, airbytehq/airbyte#16163, airbytehq/airbyte#52151.
func TestQuotaIsLearned(t *testing.T) {
	for _, style := range []string{"draft", "epoch", "seconds"} {
		for _, processes := range []int{1, 3} {
			t.Run(fmt.Sprint(style, " ", processes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					time.Sleep(time.Until(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))) // seconds since 1970 have ten digits
					q := &quota{limit: 120, per: time.Minute, style: style, began: time.Now()}
					began := time.Now()
					q.run(t, processes, 1200/processes)
					took := time.Since(began)
					if q.refused > 0 {
						t.Errorf("%d requests of %d were turned away", q.refused, q.served)
					}
					if most := 11*time.Minute + 30*time.Second; took > most {
						t.Errorf("%d requests took %v, want ten minutes", q.served, took)
					}
				})
			})
		}
	}
}

// TestSlowShareIsUsed: a process that has few slices asks on after the others have used up their shares, until its own
// is used up.
func TestSlowShareIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const windows = 5
		time.Sleep(time.Until(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)))
		q := &quota{limit: 240, per: time.Minute, style: "seconds", began: time.Now()}
		ctx, cancel := context.WithTimeout(t.Context(), windows*time.Minute-time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for _, slices := range []int{3, 8, 13} {
			var budgets fetch.Budgets
			h := settings()
			h.Retry.Attempts = 1000
			budgets.For(h).Share(slices, 24)
			cl := fetch.NewClient(h, q, budgets.For(h), fetch.NewMemory(1<<20, 1<<20, ""))
			for range (slices * slices) / 8 { // the fewer slices, the slower
				wg.Go(func() {
					for ctx.Err() == nil {
						if _, err := get(ctx, cl, "https://api.test/v1"); err != nil && ctx.Err() == nil {
							t.Error(err)
						}
					}
				})
			}
		}
		wg.Wait()
		if used := float64(q.served) / windows / float64(q.limit); used < 0.98 || q.refused > 0 {
			t.Errorf("%.1f %% of the quota used, %d requests turned away", 100*used, q.refused)
		}
	})
}

// TestConcurrencyBacksOff: an API that bears five requests at once is asked by about as many after a while, and no
// longer told that it is too much with each of them.
//
// Guards against airbytehq/airbyte#11899, airbytehq/airbyte#16163, airbytehq/airbyte#52151.
func TestConcurrencyBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quota{bears: 5}
		q.run(t, 1, 2000)
		if q.served != 2001 || q.most < 5 {
			t.Errorf("%d served, %d at once", q.served, q.most)
		}
		if q.refused > 500 {
			t.Errorf("%d requests were turned away", q.refused)
		}
	})
}

// TestLowRequestsComeLast: where a budget is the limit, a request of a pass waits for one of a back-fill at most, not
// for all that wait.
func TestLowRequestsComeLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := settings()
		h.RateLimit = &pipeline.RateLimit{Requests: 1, Per: time.Second, Burst: 1}
		var budgets fetch.Budgets
		memory := fetch.NewMemory(1<<20, 1<<20, "")
		tr := transport(func(r *http.Request) (*http.Response, error) { return answer(r, http.StatusOK, "[]"), nil })
		var wg sync.WaitGroup
		low := fetch.NewClient(h, tr, budgets.For(h), memory)
		low.Low = true
		for range 50 {
			wg.Go(func() {
				if _, err := get(t.Context(), low, "https://api.test/v1"); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(5500 * time.Millisecond)
		began := time.Now()
		if _, err := get(t.Context(), fetch.NewClient(h, tr, budgets.For(h), memory), "https://api.test/v1"); err != nil {
			t.Error(err)
		}
		if waited := time.Since(began); waited > 2*time.Second {
			t.Errorf("it waited %v behind %d others, at one a second", waited, 45)
		}
		wg.Wait()
	})
}
