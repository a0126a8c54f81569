package embedded_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// record is what the API serves. Its revision grows with each change, and so does the change number of the whole API.
type record struct {
	ID      int64  `json:"id"`
	Rev     int64  `json:"rev"`
	Changed int64  `json:"changed"`
	Region  string `json:"region"`
	Status  string `json:"status"`
	Name    string `json:"name"`
	Cents   any    `json:"cents"` // a number; text is what no step can compute with
}

// poison is the key whose records no step can compute with.
const poison = 13

// api serves the same records under a path for each kind of pagination, and fails now and then.
type api struct {
	mu      sync.Mutex
	rand    *rand.Rand
	records []record // by id, from 1
	changed int64
	faults  bool
	fetched int // requests that were answered
}

var regions = []string{"eu", "us"}

func newAPI(t *testing.T, seed uint64, n int) (*api, string) {
	t.Helper()
	a := &api{rand: rand.New(rand.NewPCG(seed, 1)), records: make([]record, n)}
	for i := range a.records {
		a.records[i] = record{ID: int64(i + 1), Region: regions[i%len(regions)]}
		a.revise(i)
	}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	return a, server.URL
}

// revise makes the next revision of a record. One of four is a draft, which the pipeline filters.
func (a *api) revise(i int) {
	r := &a.records[i]
	a.changed++
	r.Rev++
	r.Changed = a.changed
	r.Status = "open"
	if a.rand.IntN(4) == 0 {
		r.Status = "draft"
	}
	r.Name = fmt.Sprintf("Record %d, revision %d", r.ID, r.Rev)
	r.Cents = r.ID*1000 + r.Rev
	if r.ID == poison {
		r.Status, r.Cents = "open", "many"
	}
}

// change makes n revisions of random records.
func (a *api) change(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for range n {
		a.revise(a.rand.IntN(len(a.records)))
	}
}

// fail says whether requests fail now and then.
func (a *api) fail(now bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = now
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.faults && a.fault(w) {
		return
	}
	a.fetched++
	q := r.URL.Query()
	number := func(name string) int {
		n, err := strconv.Atoi(q.Get(name))
		if err != nil {
			http.Error(w, name, http.StatusBadRequest)
		}
		return n
	}
	body := map[string]any{}
	switch stream := strings.TrimPrefix(r.URL.Path, "/"); stream {
	case "pages":
		body["data"], _ = slice(a.records, (number("page")-1)*50, 50)
	case "offsets":
		body["data"], _ = slice(a.records, number("offset"), number("limit"))
		body["meta"] = map[string]any{"total": len(a.records)}
	case "cursors":
		at, _ := strconv.Atoi(q.Get("after"))
		data, next := slice(a.records, at, 70)
		body["data"], body["next"] = data, next
	case "links":
		at, _ := strconv.Atoi(q.Get("at"))
		data, next := slice(a.records, at, 90)
		body["data"] = data
		if next != nil {
			w.Header().Set("Link", fmt.Sprintf(`</links?at=%d>; rel="next"`, *next))
		}
	case "changes":
		body["data"] = a.changes(q.Get("region"), number("since"), 40)
	default:
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(body)
}

// changes are the records of a region that were changed since, oldest change first, so many at most. The pages of one
// query are therefore those of further queries: a pass is one page.
func (a *api) changes(region string, since, most int) []record {
	byChange := map[int64]record{}
	for _, r := range a.records {
		if r.Region == region && r.Changed >= int64(since) {
			byChange[r.Changed] = r
		}
	}
	found := []record{}
	for c := int64(max(since, 0)); c <= a.changed && len(found) < most; c++ {
		if r, ok := byChange[c]; ok {
			found = append(found, r)
		}
	}
	return found
}

// fault answers one of ten requests as APIs do.
func (a *api) fault(w http.ResponseWriter) bool {
	switch a.rand.IntN(40) {
	case 0:
		w.Header().Set("Retry-After", "0")
		http.Error(w, "slow down", http.StatusTooManyRequests)
	case 1:
		http.Error(w, "broken", http.StatusInternalServerError)
	case 2:
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"data": [{"id": 1, "rev": 99`))
		panic(http.ErrAbortHandler)
	case 3:
		panic(http.ErrAbortHandler)
	default:
		return false
	}
	return true
}

// slice returns n records from at on, and where the next begin: nil at the end.
func slice(all []record, at, n int) (data []record, next *int) {
	from := min(max(at, 0), len(all))
	to := min(from+n, len(all))
	if to < len(all) {
		next = &to
	}
	return append([]record{}, all[from:to]...), next
}

// row is a row of each table.
type row struct {
	ID, Rev, Double int64
	Name            string
}

// rows is what each table must hold.
func (a *api) rows() map[int64]row {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[int64]row{}
	for _, r := range a.records {
		if cents, ok := r.Cents.(int64); ok && r.Status != "draft" {
			out[r.ID] = row{r.ID, r.Rev, 2 * cents, strings.ToLower(r.Name)}
		}
	}
	return out
}
