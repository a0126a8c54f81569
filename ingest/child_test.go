package ingest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
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
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// tree is an API of resources below resources: /orders, /orders/7/items, /orders/7/items/2/notes. Each level is a list
// in pages of ten.
type tree struct {
	*httptest.Server
	pipeline string // name of the pipeline that fetches it
	mu       sync.Mutex
	lists    map[string][]string // names of what is at a path
	revision map[string]int      // by path of the record
	asked    map[string]int      // how often the first page of a path was asked for
	before   func(w http.ResponseWriter, r *http.Request) bool
}

func newTree(t testing.TB) *tree {
	a := &tree{pipeline: "shop", lists: map[string][]string{}, revision: map[string]int{}, asked: map[string]int{}}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

// grow adds n records to a list.
func (a *tree) grow(path string, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for range n {
		name := strconv.Itoa(len(a.lists[path]) + 1)
		a.lists[path] = append(a.lists[path], name)
		a.revision[path+"/"+name] = 1
	}
}

// revise makes a new revision of a record.
func (a *tree) revise(path string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.revision[path]++
}

func (a *tree) intercept(f func(w http.ResponseWriter, r *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.before = f
}

func (a *tree) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	if page <= 1 {
		a.asked[r.URL.RequestURI()]++
	}
	before := a.before
	a.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	names := a.lists[r.URL.Path]
	from := min(max(page-1, 0)*10, len(names))
	data := []any{}
	for _, name := range names[from:min(from+10, len(names))] {
		n, _ := strconv.Atoi(name)
		data = append(data, map[string]any{"id": n, "revision": a.revision[r.URL.Path+"/"+name]})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data, "total": len(names)})
}

// count is how often the first page of each path below a prefix was asked for.
func (a *tree) count(prefix string) map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	counts := map[string]int{}
	for uri, n := range a.asked {
		path, _, _ := strings.Cut(uri, "?")
		if strings.HasPrefix(path, prefix) {
			counts[path] += n
		}
	}
	return counts
}

// truth is the revision of each record in the lists at the paths below a prefix that end so, by path.
func (a *tree) truth(prefix, end string) map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := map[string]int{}
	for path, names := range a.lists {
		if !strings.HasPrefix(path, prefix) || !strings.HasSuffix(path, end) {
			continue
		}
		for _, name := range names {
			all[path+"/"+name] = a.revision[path+"/"+name]
		}
	}
	return all
}

var byTotal = pipeline.Paginate{Page: &pipeline.PageNumber{Param: "page", Start: 1, Size: 10, Stop: pipeline.StopRule{When: "total", Field: []string{"total"}}}}

// stream is a stream of the API; parent is the stream that it is made from, if any.
func (a *tree) stream(name, path, parent string) pipeline.Stream {
	s := pipeline.Stream{Name: name, Ingest: pipeline.Ingest{
		HTTP: pipeline.HTTP{
			BaseURL: a.URL, Timeout: 20 * time.Second,
			Retry: pipeline.Retry{Initial: time.Millisecond, Max: 20 * time.Millisecond, Attempts: 4},
		},
		Path: path, Records: []string{"data"}, Key: []string{"id"}, Paginate: byTotal, Concurrency: 4,
	}}
	if parent != "" {
		s.Ingest.ForEach = &pipeline.ForEach{Parent: parent}
	}
	return s
}

// orders are orders and their items, whose order they have.
func (a *tree) orders() []pipeline.Stream {
	items := a.stream("items", "/orders/{orders.id}/items", "orders")
	items.Ingest.Add = []pipeline.Added{{Name: "order", Text: "{orders.id}"}}
	items.Ingest.Key = []string{"order", "id"}
	return []pipeline.Stream{a.stream("orders", "/orders", ""), items}
}

// newestItems is the newest revision that raw has of each key of items, as paths, and how many records there are.
func newestItems(t testing.TB, brokers []string, topic string) (found map[string]int, records int) {
	t.Helper()
	found = map[string]int{}
	for _, r := range testkit.Records(t, brokers, topic) {
		records++
		var key []int
		if err := json.Unmarshal(r.Key, &key); err != nil || len(key) != 2 {
			t.Fatalf("key %s: %v", r.Key, err)
		}
		path := fmt.Sprintf("/orders/%d/items/%d", key[0], key[1])
		if r.Value == nil {
			delete(found, path)
			continue
		}
		var v struct{ Order, ID, Revision int }
		if err := json.Unmarshal(r.Value, &v); err != nil || v.Order != key[0] || v.ID != key[1] {
			t.Fatalf("key %s has the value %s: %v", r.Key, r.Value, err)
		}
		found[path] = v.Revision
	}
	return found, records
}

// awaitItems waits until raw has what the API has.
func (a *tree) awaitItems(t testing.TB, brokers []string) (records int) {
	t.Helper()
	want := a.truth("/orders/", "/items")
	testkit.Eventually(t, 2*patience, func() error {
		var got map[string]int
		if got, records = newestItems(t, brokers, a.pipeline+".items.raw"); cmp.Equal(want, got) {
			return nil
		}
		return fmt.Errorf("items: %.2000s", cmp.Diff(want, got))
	})
	return records
}

// TestChildStreams: a parent's records are each asked for once, then only those that change, and those that are new.
//
// Guards against airbytehq/airbyte#31905.
func TestChildStreams(t *testing.T) {
	t.Parallel()
	a := newTree(t)
	a.grow("/orders", 25)
	for i := range 25 {
		a.grow(fmt.Sprintf("/orders/%d/items", i+1), i%13)
	}
	c := testkafka.New(t)
	streams := a.orders()
	streams[0].Ingest.Every = 50 * time.Millisecond
	p := newPipeline(c.ListenAddrs(), streams...)
	r := start(t, p, "one", testConfig())
	r.awaitPass(t)
	want := map[string]int{}
	for i := range 25 {
		want[fmt.Sprintf("/orders/%d/items", i+1)] = 1
	}
	if d := cmp.Diff(want, a.count("/orders/")); d != "" {
		t.Errorf("first pages asked for: %s", d)
	}
	records := a.awaitItems(t, c.ListenAddrs())
	if all := len(a.truth("/orders/", "/items")); records != all {
		t.Errorf("%d records in raw, want %d", records, all)
	}

	a.grow("/orders/7/items", 5)
	a.revise("/orders/7")
	a.grow("/orders/26/items", 3)
	a.grow("/orders", 1)
	if n := a.awaitItems(t, c.ListenAddrs()); n != records+8 {
		t.Errorf("%d records in raw, want %d: what did not change is not written again", n, records+8)
	}
	want["/orders/7/items"], want["/orders/26/items"] = 2, 1
	passes := a.count("/orders")["/orders"]
	testkit.Eventually(t, patience, testkit.That("more passes over the orders", func() bool { return a.count("/orders")["/orders"] > passes+3 }))
	if d := cmp.Diff(want, a.count("/orders/")); d != "" {
		t.Errorf("first pages asked for after changes: %s", d)
	}
	r.stop()

	r = start(t, p, "two", testConfig()) // what was done is known to whoever comes next
	r.awaitPass(t)
	r.stop()
	if d := cmp.Diff(want, a.count("/orders/")); d != "" {
		t.Errorf("first pages asked for after a restart: %s", d)
	}
	if w := r.Health.Waiting(); len(w) > 0 {
		t.Errorf("still waiting: %v", w)
	}
}

// TestGrandchildren: a child is a parent; what it is given of its own parent it can give to its children.
func TestGrandchildren(t *testing.T) {
	t.Parallel()
	a := newTree(t)
	a.grow("/orders", 4)
	for i := range 4 {
		a.grow(fmt.Sprintf("/orders/%d/items", i+1), 3)
		for j := range 3 {
			a.grow(fmt.Sprintf("/orders/%d/items/%d/notes", i+1, j+1), 12)
		}
	}
	streams := a.orders()
	notes := a.stream("notes", "/orders/{items.order}/items/{items.id}/notes", "items")
	notes.Ingest.Key = []string{pipeline.SliceField, "id"}
	notes.Ingest.Add = []pipeline.Added{{Name: "of", Text: "order {items.order}"}}
	c := testkafka.New(t)
	r := start(t, newPipeline(c.ListenAddrs(), append(streams, notes)...), "one", testConfig())
	r.awaitPass(t)
	r.stop()
	got := map[string]int{}
	for _, r := range testkit.Records(t, c.ListenAddrs(), "shop.notes.raw") {
		h, err := topics.ParseRawHeaders(r)
		if err != nil {
			t.Fatal(err)
		}
		var key []any
		var parent []int
		if err := json.Unmarshal(r.Key, &key); err != nil || key[0] != h.Slice {
			t.Fatalf("key %s of slice %s: %v", r.Key, h.Slice, err)
		}
		if err := json.Unmarshal([]byte(h.Slice), &parent); err != nil {
			t.Fatalf("slice %s: %v", h.Slice, err)
		}
		if !strings.Contains(string(r.Value), fmt.Sprintf(`"of":"order %d"`, parent[0])) {
			t.Errorf("%s: %s", r.Key, r.Value)
		}
		got[fmt.Sprintf("/orders/%d/items/%d/notes/%v", parent[0], parent[1], key[1])]++
	}
	if d := cmp.Diff(a.truth("/orders/", "/notes"), got); d != "" {
		t.Error(d)
	}
}

// TestDeletedParents: with the record of the parent, what was fetched for it goes or stays, as the file says. One that
// comes back is fetched again.
func TestDeletedParents(t *testing.T) {
	for what, left := range map[string]int{"keep": 6, "delete": 3} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a := newTree(t)
			a.grow("/orders", 2)
			a.grow("/orders/1/items", 3)
			a.grow("/orders/2/items", 3)
			c := testkafka.New(t)
			streams := a.orders()
			streams[1].Ingest.ForEach.OnDelete = what
			p := newPipeline(c.ListenAddrs(), streams...)
			r := start(t, p, "one", testConfig())
			r.awaitPass(t)
			produce(t, c.ListenAddrs(), &kgo.Record{Topic: "shop.orders.raw", Key: []byte("1")})
			testkit.Eventually(t, patience, testkit.That("the child is gone", func() bool { return stateOf(t, c.ListenAddrs())["items/1"] == "" }))
			got, _ := newestItems(t, c.ListenAddrs(), "shop.items.raw")
			if len(got) != left || what == "delete" && got["/orders/1/items/1"] != 0 {
				t.Errorf("raw has %v", got)
			}
			produce(t, c.ListenAddrs(), &kgo.Record{Topic: "shop.orders.raw", Key: []byte("1"), Value: []byte(`{"id":1}`)})
			a.awaitItems(t, c.ListenAddrs())
			r.stop()
			if n := a.count("/orders/")["/orders/1/items"]; n != 2 {
				t.Errorf("the items of order 1 were asked for %d times, want 2", n)
			}
		})
	}
}

// produce writes records in a transaction of its own.
func produce(t testing.TB, brokers []string, records ...*kgo.Record) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// stateOf is what the state topic has, by key.
func stateOf(t testing.TB, brokers []string) map[string]string {
	t.Helper()
	state := map[string]string{}
	for _, r := range testkit.Records(t, brokers, "shop.ingest.state") {
		if delete(state, string(r.Key)); r.Value != nil {
			state[string(r.Key)] = string(r.Value)
		}
	}
	return state
}

// TestChildErrors: a record whose slice cannot be fetched does not hold the others up. 404 says that there is nothing.
func TestChildErrors(t *testing.T) {
	t.Parallel()
	a := newTree(t)
	a.grow("/orders", 120)
	for i := range 120 {
		a.grow(fmt.Sprintf("/orders/%d/items", i+1), 1)
	}
	const forbidden, none = 40, 10
	var mu sync.Mutex
	open := false
	a.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		n, _ := strconv.Atoi(strings.Split(r.URL.Path, "/")[min(2, strings.Count(r.URL.Path, "/"))])
		switch {
		case strings.Count(r.URL.Path, "/") < 3 || open:
			return false
		case n <= forbidden:
			http.Error(w, "not yours", http.StatusForbidden)
		case n <= forbidden+none:
			http.NotFound(w, r)
		default:
			return false
		}
		return true
	})
	c := testkafka.New(t)
	r := start(t, newPipeline(c.ListenAddrs(), a.orders()...), "one", testConfig())
	if got := testkit.Await(t, c.ListenAddrs(), 120-forbidden-none, "shop.items.raw"); len(got) != 120-forbidden-none {
		t.Errorf("%d records", len(got))
	}
	testkit.Eventually(t, patience, testkit.That("they are told of", func() bool {
		return r.children(t, "items", "failing") == forbidden && r.metric(t, "millrace_ingest_children_passed_over_total") == none
	}))
	if log := r.log.String(); strings.Count(log, "cannot be fetched") != 1 || strings.Count(log, "the API has nothing") != 1 || !strings.Contains(log, "403") {
		t.Errorf("log:\n%s", log)
	}
	r.awaitPass(t) // what is refused holds no job up
	mu.Lock()
	open = true
	mu.Unlock()
	for n := range none { // what there was nothing of is asked for when the record changes, and not before
		produce(t, c.ListenAddrs(), &kgo.Record{Topic: "shop.orders.raw", Key: []byte(strconv.Itoa(forbidden + n + 1)), Value: []byte(fmt.Sprintf(`{"id":%d}`, forbidden+n+1))})
	}
	a.awaitItems(t, c.ListenAddrs())
	testkit.Eventually(t, patience, testkit.That("none fails", func() bool { return r.children(t, "items", "failing") == 0 }))
	r.stop()
}

// children is how many children of a stream are in a state.
func (r *process) children(t testing.TB, stream, state string) float64 {
	t.Helper()
	families, err := r.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if f.GetName() == "millrace_ingest_children" && labels["stream"] == stream && labels["state"] == state {
				return m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

// TestParentChangesWhileItsChildIsFetched: the child is fetched once more, so that nothing that came with the change is
// missed.
func TestParentChangesWhileItsChildIsFetched(t *testing.T) {
	t.Parallel()
	a := newTree(t)
	a.grow("/orders", 1)
	a.grow("/orders/1/items", 25)
	held, reached := make(chan struct{}), make(chan struct{})
	var once sync.Once
	a.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("page") == "3" {
			once.Do(func() {
				close(reached)
				<-held
			})
		}
		return false
	})
	c := testkafka.New(t)
	r := start(t, newPipeline(c.ListenAddrs(), a.orders()...), "one", testConfig())
	<-reached
	a.revise("/orders/1/items/3") // on a page that was fetched
	produce(t, c.ListenAddrs(), &kgo.Record{Topic: "shop.orders.raw", Key: []byte("1"), Value: []byte(`{"id":1,"revision":2}`)})
	testkit.Eventually(t, patience, testkit.That("the change is listed", func() bool {
		return strings.Contains(stateOf(t, c.ListenAddrs())["items/1"], `"want":`) && stateOf(t, c.ListenAddrs())["feed:items:"+strconv.Itoa(int(topics.Partition([]byte("1"), 3)))] != "" &&
			r.listedOnce(t, c.ListenAddrs())
	}))
	close(held)
	a.awaitItems(t, c.ListenAddrs())
	r.awaitPass(t)
	r.stop()
	if n := a.count("/orders/")["/orders/1/items"]; n != 2 {
		t.Errorf("the items were asked for %d times, want 2", n)
	}
}

// listedOnce reports whether the state of the only child wants another revision than the one that its pass was begun
// for.
func (r *process) listedOnce(t testing.TB, brokers []string) bool {
	t.Helper()
	var c struct{ Child struct{ Want, Begun int64 } }
	if err := json.Unmarshal([]byte(stateOf(t, brokers)["items/1"]), &c); err != nil {
		return false
	}
	return c.Child.Want != c.Child.Begun && c.Child.Begun != 0
}

// TestListsAreCrossed: two lists make a slice of each combination, and with a parent, one for each of its records
// besides.
func TestListsAreCrossed(t *testing.T) {
	t.Parallel()
	a := newTree(t)
	a.grow("/orders", 2)
	for _, region := range []string{"eu", "us"} {
		for _, kind := range []string{"a", "b"} {
			a.grow("/"+region+"/"+kind, 2)
		}
		for n := range 2 {
			a.grow(fmt.Sprintf("/%s/orders/%d", region, n+1), 1)
		}
	}
	crossed := a.stream("crossed", "/{region}/{kind}", "")
	crossed.Ingest.Key = []string{pipeline.SliceField, "id"}
	crossed.Ingest.Slices = &pipeline.Slices{Name: "region", Values: []string{"eu", "us"}, Crossed: []pipeline.SliceList{{Name: "kind", Values: []string{"a", "b"}}}}
	child := a.stream("child", "/{region}/orders/{orders.id}", "orders")
	child.Ingest.Key = []string{pipeline.SliceField, "id"}
	child.Ingest.Slices = &pipeline.Slices{Name: "region", Values: []string{"eu", "us"}}
	c := testkafka.New(t)
	r := start(t, newPipeline(c.ListenAddrs(), a.stream("orders", "/orders", ""), crossed, child), "one", testConfig())
	r.awaitPass(t)
	r.stop()
	for topic, want := range map[string][]string{
		"shop.crossed.raw": {`["[\"eu\",\"a\"]",1]`, `["[\"eu\",\"a\"]",2]`, `["[\"eu\",\"b\"]",1]`, `["[\"eu\",\"b\"]",2]`, `["[\"us\",\"a\"]",1]`, `["[\"us\",\"a\"]",2]`, `["[\"us\",\"b\"]",1]`, `["[\"us\",\"b\"]",2]`},
		"shop.child.raw":   {`["[\"1\",\"eu\"]",1]`, `["[\"1\",\"us\"]",1]`, `["[\"2\",\"eu\"]",1]`, `["[\"2\",\"us\"]",1]`},
	} {
		var got []string
		for _, r := range testkit.Records(t, c.ListenAddrs(), topic) {
			got = append(got, string(r.Key))
		}
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", topic, d)
		}
	}
}

// TestChildrenThroughTakeOvers: whatever is cancelled when, raw has in the end what the API has, and each record once
// for each revision that was served.
func TestChildrenThroughTakeOvers(t *testing.T) {
	t.Parallel()
	childrenThroughTakeOvers(t, testkafka.New(t).ListenAddrs(), "shop")
}

func childrenThroughTakeOvers(t *testing.T, brokers []string, name string) {
	t.Helper()
	a := newTree(t)
	a.pipeline = name
	a.grow("/orders", 40)
	for i := range 40 {
		a.grow(fmt.Sprintf("/orders/%d/items", i+1), 8+i)
	}
	rnd := rand.New(rand.NewPCG(7, 11))
	streams := a.orders()
	streams[0].Ingest.Every = 20 * time.Millisecond
	p := newPipeline(brokers, streams...)
	p.Name = name
	abrupt := testConfig()
	abrupt.Drain = 1
	running := []*process{start(t, p, "p0", abrupt)}
	for round := range 6 {
		for range 8 {
			order := fmt.Sprintf("/orders/%d", 1+rnd.IntN(40))
			a.revise(order + "/items/" + strconv.Itoa(1+rnd.IntN(8)))
			a.grow(order+"/items", 1)
			a.revise(order)
		}
		seen := a.count("/orders")["/orders"]
		testkit.Eventually(t, patience, testkit.That("a pass continues", func() bool { return a.count("/orders")["/orders"] > seen+rnd.IntN(3) }))
		running = append(running, start(t, p, fmt.Sprint("p", round+1), []ingest.Config{abrupt, testConfig()}[round/2%2]))
		if round%2 == 0 {
			running[0].stop()
			running = running[1:]
		}
	}
	for _, r := range running[1:] {
		r.stop()
	}
	a.awaitItems(t, brokers)
	running[0].stop()
	times := map[string]int{}
	for _, r := range testkit.Records(t, brokers, name+".items.raw") {
		times[string(r.Key)+" "+string(r.Value)]++
	}
	maps.DeleteFunc(times, func(_ string, n int) bool { return n == 1 })
	if len(times) > 0 {
		t.Errorf("written more than once: %v", times)
	}
}

// TestTenThousandChildren: each is asked for once, also where another process takes over in the middle, and once for a
// change.
func TestTenThousandChildren(t *testing.T) {
	if testing.Short() {
		t.Skip("ten thousand requests")
	}
	const n = 10_000
	a := newTree(t)
	a.grow("/orders", n)
	a.mu.Lock()
	for i := range n {
		path := fmt.Sprintf("/orders/%d/items", i+1)
		a.lists[path], a.revision[path+"/1"] = []string{"1"}, 1
	}
	a.mu.Unlock()
	c := testkafka.New(t)
	streams := a.orders()
	p := newPipeline(c.ListenAddrs(), streams...)
	one := start(t, p, "one", testConfig())
	requests := func() (n int) {
		for _, times := range a.count("/orders/") {
			n += times
		}
		return n
	}
	testkit.Eventually(t, 4*patience, testkit.That("a third is fetched", func() bool { return requests() > n/3 }))
	one.stop()
	two := start(t, p, "two", testConfig())
	await(t, two, 8*patience)
	again := 0
	for _, times := range a.count("/orders/") {
		again += times - 1
	}
	// those whose answers were on their way: 64, or more on a busy machine
	if found := len(a.count("/orders/")); found != n || again > n/10 {
		t.Errorf("%d children were asked for, and %d once more", found, again)
	}
	before := requests()
	for i := range 100 {
		produce(t, c.ListenAddrs(), &kgo.Record{Topic: "shop.orders.raw", Key: []byte(strconv.Itoa(i + 1)), Value: fmt.Appendf(nil, `{"id":%d,"revision":2}`, i+1)})
	}
	testkit.Eventually(t, 2*patience, testkit.That("the changed ones are fetched", func() bool {
		return requests() >= before+100 && two.children(t, "items", "due") == 0
	}))
	if known := two.children(t, "items", "known"); known != n {
		t.Errorf("%v children known", known)
	}
	two.stop()
	records := testkit.Records(t, c.ListenAddrs(), "shop.items.raw")
	if len(records) != n {
		t.Errorf("%d records, want each of %d once", len(records), n)
	}
}

func await(t testing.TB, r *process, within time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	select {
	case <-r.PassesDone():
	case <-ctx.Done():
		t.Fatalf("no pass ended; waiting for %v", r.Health.Waiting())
	}
}

// TestChildrenAreReadComplete: what a complete read of a child does not show any more is deleted, also after another
// process has taken over; what lies under other records of the parent is not touched.
func TestChildrenAreReadComplete(t *testing.T) {
	t.Parallel()
	a := newTree(t)
	a.grow("/orders", 3)
	for i := range 3 {
		a.grow(fmt.Sprintf("/orders/%d/items", i+1), 4)
	}
	c := testkafka.New(t)
	streams := a.orders()
	streams[1].Ingest.Deletes = &pipeline.Deletes{AtMost: 60, MaxKeys: 1000}
	streams[1].Ingest.Paginate = pipeline.Paginate{}
	p := newPipeline(c.ListenAddrs(), streams...)
	for round := range 2 {
		r := start(t, p, fmt.Sprint("p", round), testConfig())
		r.awaitPass(t)
		a.mu.Lock()
		a.lists["/orders/2/items"] = a.lists["/orders/2/items"][:3-round]
		a.mu.Unlock()
		produce(t, c.ListenAddrs(), &kgo.Record{Topic: "shop.orders.raw", Key: []byte("2"), Value: fmt.Appendf(nil, `{"id":2,"revision":%d}`, 2+round)})
		a.awaitItems(t, c.ListenAddrs())
		r.stop()
	}
}

// TestRecordsAreGivenFields: before those that the API sent, in any stream; a record that has one of that name is a
// dead letter.
func TestRecordsAreGivenFields(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"data":[{"id":1}, {},{ "id":2,"region":"there"},{"id":3,"none":null}]}`)
	}))
	t.Cleanup(api.Close)
	c := testkafka.New(t)
	s := newTree(t).stream("items", "/{region}", "")
	s.Ingest.HTTP.BaseURL, s.Ingest.Paginate = api.URL, pipeline.Paginate{}
	s.Ingest.Slices = &pipeline.Slices{Name: "region", Values: []string{`e"u`}}
	s.Ingest.Add = []pipeline.Added{{Name: "region", Text: "{region}"}, {Name: "of", Text: "region {region}"}, {Name: "since", Text: "{since}"}}
	s.Ingest.Key = []string{"region", "id"}
	r := start(t, newPipeline(c.ListenAddrs(), s), "one", testConfig())
	r.awaitPass(t)
	r.stop()
	got := map[string]string{}
	for _, r := range testkit.Records(t, c.ListenAddrs(), "shop.items.raw") {
		got[string(r.Key)] = string(r.Value)
	}
	want := map[string]string{
		`["e\"u",1]`: `{"region":"e\"u","of":"region e\"u","since":"{since}","id":1}`,
		`["e\"u",3]`: `{"region":"e\"u","of":"region e\"u","since":"{since}","id":3,"none":null}`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	// one without a key, one with a region of its own
	if letters := testkit.Records(t, c.ListenAddrs(), "shop.items.dlq"); len(letters) != 2 {
		t.Errorf("%d dead letters", len(letters))
	}
}
