package ingest_test

import (
	"encoding/json"
	"fmt"
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

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
)

// archive is an API whose records can be asked for from a time up to another, by offset.
type archive struct {
	*httptest.Server
	mu      sync.Mutex
	items   []item
	most    int           // records that it shows of one query; 0: all
	counts  int           // records at most that its total tells of; 0: all
	refuses bool          // what lies deeper; else it is an empty page
	behind  time.Duration // its clock, behind ours
	newest  bool          // first
	before  func(since, until string, offset int)
	asked   [][3]string // since, until and offset
	open    map[string]int
	widest  int // most windows under way at once
}

const archivePage = 10

func newArchive(t testing.TB) *archive {
	a := &archive{open: map[string]int{}}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *archive) total(n int) int {
	if a.counts > 0 {
		return min(n, a.counts)
	}
	return n
}

// add adds n records from a time on, so far apart.
func (a *archive) add(n int, from time.Time, apart time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range n {
		id := len(a.items)
		a.items = append(a.items, item{id, fmt.Sprint("text ", id), from.Add(time.Duration(i) * apart).UTC().Format(time.RFC3339)})
	}
}

// touch changes a record now.
func (a *archive) touch(i int, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.items[i].Text, a.items[i].Updated = text, time.Now().Add(-a.behind).UTC().Format(time.RFC3339)
}

func (a *archive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	since, until := q.Get("since"), q.Get("until")
	offset, _ := strconv.Atoi(q.Get("offset"))
	a.mu.Lock()
	a.asked = append(a.asked, [3]string{since, until, q.Get("offset")})
	before := a.before
	if until != "" {
		a.open[since]++
		a.widest = max(a.widest, len(a.open))
	}
	a.mu.Unlock()
	if before != nil {
		before(since, until, offset)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if until != "" {
		if a.open[since]--; a.open[since] == 0 {
			delete(a.open, since)
		}
	}
	found := slices.DeleteFunc(slices.Clone(a.items), func(i item) bool {
		return i.Updated < since || until != "" && i.Updated > until
	})
	slices.SortStableFunc(found, func(x, y item) int {
		if a.newest {
			x, y = y, x
		}
		return strings.Compare(x.Updated, y.Updated)
	})
	w.Header().Set("Date", time.Now().Add(-a.behind).UTC().Format(http.TimeFormat))
	total := len(found)
	if a.most > 0 && offset >= a.most {
		if a.refuses {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(`{"code":"too_deep"}`))
			return
		}
		found = nil
	} else if a.most > 0 {
		found = found[:min(len(found), a.most)]
	}
	from := min(offset, len(found))
	_ = json.NewEncoder(w).Encode(map[string]any{"data": found[from:min(from+archivePage, len(found))], "total": a.total(total)})
}

func (a *archive) requests() [][3]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}

func (a *archive) intercept(f func(since, until string, offset int)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.before = f
}

// stream asks for days.
func (a *archive) stream(begins time.Time, change func(*pipeline.Ingest)) pipeline.Stream {
	s := pipeline.Stream{Name: "items", Ingest: pipeline.Ingest{
		HTTP: pipeline.HTTP{BaseURL: a.URL, Timeout: time.Minute, Retry: pipeline.Retry{Initial: time.Millisecond, Max: 20 * time.Millisecond, Attempts: 2}},
		Path: "/items", Records: []string{"data"}, Key: []string{"id"}, Version: "updated_at", Concurrency: 2, Every: 20 * time.Millisecond,
		Paginate: pipeline.Paginate{Offset: &pipeline.OffsetLimit{Param: "offset", Limit: archivePage, Stop: pipeline.StopRule{When: "empty"}}},
		Incremental: &pipeline.Incremental{
			Field: "updated_at", Param: "since", Start: begins.UTC().Format(time.RFC3339),
			Window: &pipeline.Window{Step: 24 * time.Hour, Param: "until", Bounds: "inclusive", AtOnce: 4},
		},
	}}
	if change != nil {
		change(&s.Ingest)
	}
	return s
}

// same checks that raw has the newest of each record that the archive has, and returns how many records that raw has.
func (a *archive) same(t testing.TB, brokers []string) (n int) {
	t.Helper()
	texts, n := newestTexts(t, brokers)
	if d := cmp.Diff(a.truth(), texts); d != "" {
		t.Error(d)
	}
	return n
}

// newestTexts is the text of the newest version of each key in raw, and how many records there are.
func newestTexts(t testing.TB, brokers []string) (texts map[string]string, n int) {
	t.Helper()
	texts = map[string]string{}
	at := map[string]string{}
	for _, r := range testkit.Records(t, brokers, "shop.items.raw") {
		var i item
		if err := json.Unmarshal(r.Value, &i); err != nil {
			t.Fatal(err)
		}
		if n++; i.Updated >= at[string(r.Key)] {
			texts[string(r.Key)], at[string(r.Key)] = i.Text, i.Updated
		}
	}
	return texts, n
}

func (a *archive) truth() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	want := map[string]string{}
	for _, i := range a.items {
		want[strconv.Itoa(i.ID)] = i.Text
	}
	return want
}

// state is the slice's cursor in the state topic, and how large it was at most.
func state(t testing.TB, brokers []string) (c cursor.Cursor, most int) {
	t.Helper()
	for _, r := range testkit.Records(t, brokers, "shop.ingest.state") {
		if string(r.Key) != cursor.Key("items", "") {
			continue
		}
		var err error
		if c, err = cursor.Decode(string(r.Key), r.Value); err != nil {
			t.Fatal(err)
		}
		most = max(most, len(r.Value))
	}
	return c, most
}

// today is a midnight, forty days after the first record of these tests.
func today() time.Time { return time.Now().UTC().Truncate(24 * time.Hour) }

// TestWindows: the past is fetched in windows, several at once, beside passes for what is new; and once: neither this
// process nor the next one asks for it again.
func TestWindows(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	begins := today().AddDate(0, 0, -40)
	a.add(40*24, begins, time.Hour) // 24 a day; one on each bound of a window
	var once sync.Once
	var both sync.WaitGroup
	both.Add(2)
	a.intercept(func(_, until string, offset int) {
		if until == "" && offset == 0 {
			return
		}
		if until != "" && offset == 0 { // two windows are under way at once, or this never ends
			once.Do(func() { go func() { both.Wait(); a.intercept(nil) }() })
			both.Done()
			both.Wait()
		}
	})
	c := testkafka.New(t)
	p := newPipeline(c.ListenAddrs(), a.stream(begins, func(in *pipeline.Ingest) { in.Incremental.Window.AtOnce = 2 }))
	r := start(t, p, "one", testConfig())
	r.awaitPass(t)
	if n := r.metric(t, "millrace_ingest_windows_total"); n < 39 {
		t.Errorf("%v windows were fetched, want 39 or 40", n)
	}
	a.touch(7, "changed")
	testkit.Eventually(t, patience, testkit.That("the change is there", func() bool {
		texts, _ := newestTexts(t, c.ListenAddrs())
		return texts["7"] == "changed"
	}))
	r.stop()
	n := a.same(t, c.ListenAddrs())
	if n > 40*24+1 {
		t.Errorf("%d records were written, want %d: what lies on a bound comes twice, and is written once", n, 40*24+1)
	}
	if a.widest != 2 {
		t.Errorf("%d windows were under way at once, want 2", a.widest)
	}
	now, most := state(t, c.ListenAddrs())
	if now.Windows != nil || most > 2000 {
		t.Errorf("the cursor had %d bytes at most, and holds %+v at the end", most, now.Windows)
	}
	asked := len(a.requests())
	r = start(t, p, "two", testConfig())
	r.awaitPasses(t, 3)
	r.stop()
	for _, q := range a.requests()[asked:] {
		if q[1] != "" {
			t.Errorf("a window is asked for again: %v", q)
		}
	}
}

// TestWindowsAreTakenOver: a process that is cut off amid its windows is followed by one that goes on where its commits
// end, while records change and leave the pages of their windows, with a total that tells so and without.
func TestWindowsAreTakenOver(t *testing.T) {
	for name, stop := range map[string]pipeline.StopRule{"without a total": {When: "empty"}, "with a total": {When: "total", Field: []string{"total"}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			windowsTakenOver(t, stop)
		})
	}
}

func windowsTakenOver(t *testing.T, stop pipeline.StopRule) {
	t.Helper()
	a := newArchive(t)
	begins := today().AddDate(0, 0, -20)
	a.add(20*48, begins, 30*time.Minute)
	reached := make(chan struct{})
	var once sync.Once
	hold := make(chan struct{})
	a.intercept(func(since, _ string, offset int) {
		if offset == 20 && since >= begins.AddDate(0, 0, 5).Format(time.RFC3339) {
			once.Do(func() { close(reached) })
			<-hold
		}
	})
	c := testkafka.New(t)
	p := newPipeline(c.ListenAddrs(), a.stream(begins, func(in *pipeline.Ingest) { in.Paginate.Offset.Stop = stop }))
	link := testkit.NewLink(1 << 30)
	one := startWith(t, p, "one", testConfig(), kgo.Dialer(link.Dial))
	<-reached
	testkit.Eventually(t, patience, testkit.That("windows are done", func() bool { return one.metric(t, "millrace_ingest_windows_total") >= 4 }))
	resume := link.Stall()
	for i := range 30 {
		a.touch(i*30, fmt.Sprint("changed ", i))
	}
	a.intercept(nil)
	asked := len(a.requests())
	two := start(t, p, "two", testConfig())
	two.awaitPass(t)
	close(hold)
	resume()
	one.stop()
	two.stop()
	n := a.same(t, c.ListenAddrs())
	if n > 20*48+30+100 {
		t.Errorf("%d records were written", n)
	}
	again := map[string]bool{}
	for _, q := range a.requests()[asked:] {
		if q[1] != "" && strings.HasSuffix(q[0], "T00:00:00Z") { // else it is a half
			again[q[0]] = true
		}
	}
	if len(again) > 17 || len(again) == 0 {
		t.Errorf("%d windows of 20 were asked for after the take-over; some were done", len(again))
	}
}

// TestWindowsAreCut until the API shows all of them, whether it refuses to page deeper, tells a total, shows nothing
// more, or ends its pages there as if that were all; and one that cannot be cut is told of.
//
// Guards against airbytehq/airbyte#66592, airbytehq/airbyte#58666, airbytehq/airbyte#56370.
func TestWindowsAreCut(t *testing.T) {
	for name, how := range map[string]func(*archive, *pipeline.Ingest){
		"by number": func(_ *archive, in *pipeline.Ingest) { in.Incremental.Window.MaxResults = 50 },
		"by total": func(_ *archive, in *pipeline.Ingest) {
			in.Paginate.Offset.Stop = pipeline.StopRule{When: "total", Field: []string{"total"}}
			in.Incremental.Window.MaxResults = 50
		},
		"by a total that counts no further": func(a *archive, in *pipeline.Ingest) {
			a.counts = a.most
			in.Paginate.Offset.Stop = pipeline.StopRule{When: "total", Field: []string{"total"}}
			in.Incremental.Window.MaxResults = a.most
		},
		"by pages that end there": func(a *archive, in *pipeline.Ingest) {
			a.most = 45
			in.Paginate.Offset.Stop = pipeline.StopRule{When: "short"}
			in.Incremental.Window.MaxResults = 45
		},
		"by a rule": func(a *archive, in *pipeline.Ingest) {
			a.refuses = true
			in.Errors = []pipeline.ErrorRule{{When: `code == "too_deep"`, Do: "split"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newArchive(t)
			a.most = 50
			begins := today().AddDate(0, 0, -4)
			a.add(40, begins, time.Hour)
			a.add(300, begins.AddDate(0, 0, 2), time.Second) // five minutes
			a.add(30, begins.AddDate(0, 0, 3), time.Hour/2)
			c := testkafka.New(t)
			s := a.stream(begins, func(in *pipeline.Ingest) { how(a, in) })
			r := start(t, newPipeline(c.ListenAddrs(), s), "one", testConfig())
			r.awaitPass(t)
			a.same(t, c.ListenAddrs())
			if n := r.metric(t, "millrace_ingest_notices"); n != 0 {
				t.Errorf("%v notices:\n%s", n, r.log)
			}
			r.stop()
			now, most := state(t, c.ListenAddrs())
			if now.Windows != nil || most > 6000 {
				t.Errorf("the cursor had %d bytes at most, and holds %+v at the end", most, now.Windows)
			}

			a.add(70, begins.AddDate(0, 0, 1), 0) // in one second
			s.Name = "items"
			c = testkafka.New(t)
			p := newPipeline(c.ListenAddrs(), s)
			r = start(t, p, "one", testConfig())
			r.awaitPass(t)
			r.stop()
			if log := r.log.String(); !strings.Contains(log, "MISSING") || !strings.Contains(log, begins.AddDate(0, 0, 1).Format("2006-01-02")) {
				t.Errorf("log:\n%s", log)
			}
			texts, _ := newestTexts(t, c.ListenAddrs())
			if len(texts) < 370+a.most-10 || len(texts) > 370+60 {
				t.Errorf("%d keys of 440, of which 50 of one second are shown", len(texts))
			}
			r = start(t, p, "two", testConfig())
			testkit.Eventually(t, patience, testkit.That("the next process tells it too", func() bool { return r.metric(t, "millrace_ingest_notices") == 1 }))
			r.stop()
		})
	}
}

// TestTailIsCut: a process that stood for long finds more new records than the API shows of one query.
//
// Guards against airbytehq/airbyte#66592, airbytehq/airbyte#58666, airbytehq/airbyte#56370.
func TestTailIsCut(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	a.most = 50
	begins := today().AddDate(0, 0, -4)
	a.add(40, begins, time.Hour)
	c := testkafka.New(t)
	p := newPipeline(c.ListenAddrs(), a.stream(begins, func(in *pipeline.Ingest) { in.Incremental.Window.MaxResults = 50 }))
	r := start(t, p, "one", testConfig())
	r.awaitPass(t)
	r.stop()
	a.add(500, time.Now().Add(-30*time.Minute), 3*time.Second)
	r = start(t, p, "two", testConfig())
	testkit.Eventually(t, patience, func() error {
		texts, _ := newestTexts(t, c.ListenAddrs())
		if d := cmp.Diff(a.truth(), texts); d != "" {
			return fmt.Errorf("%d keys: %s", len(texts), d[:min(300, len(d))])
		}
		return nil
	})
	r.stop()
}

// TestFirstPassIsCut: more records of the last hour than the API shows of one query, before anything was fetched.
func TestFirstPassIsCut(t *testing.T) {
	for name, stop := range map[string]pipeline.StopRule{"without a total": {When: "empty"}, "with a total": {When: "total", Field: []string{"total"}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newArchive(t)
			a.most = 50
			begins := today().AddDate(0, 0, -4)
			a.add(40, begins, time.Hour)
			a.add(300, time.Now().Add(-30*time.Minute), 3*time.Second)
			c := testkafka.New(t)
			r := start(t, newPipeline(c.ListenAddrs(), a.stream(begins, func(in *pipeline.Ingest) {
				in.Paginate.Offset.Stop = stop
				in.Incremental.Window.MaxResults = 50
			})), "one", testConfig())
			r.awaitPass(t)
			r.stop()
			a.same(t, c.ListenAddrs())
		})
	}
}

// TestWindowsByTheClockOfTheAPI: where ours is two days ahead, what changes after the first pass is not in a window
// that is done.
func TestWindowsByTheClockOfTheAPI(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	a.behind = 48 * time.Hour
	begins := today().AddDate(0, 0, -10)
	a.add(150, begins, time.Hour)
	c := testkafka.New(t)
	r := start(t, newPipeline(c.ListenAddrs(), a.stream(begins, nil)), "one", testConfig())
	r.awaitPass(t)
	a.touch(3, "changed")
	testkit.Eventually(t, patience, testkit.That("the change is there", func() bool {
		texts, _ := newestTexts(t, c.ListenAddrs())
		return texts["3"] == "changed"
	}))
	r.stop()
	a.same(t, c.ListenAddrs())
}

// TestWindowsAreTakenOut of the file amid a back-fill: the passes ask for what was left.
func TestWindowsAreTakenOut(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	begins := today().AddDate(0, 0, -10)
	a.add(150, begins, time.Hour)
	hold := make(chan struct{})
	a.intercept(func(since, until string, _ int) {
		if until != "" && since >= begins.AddDate(0, 0, 3).Format(time.RFC3339) {
			<-hold
		}
	})
	c := testkafka.New(t)
	s := a.stream(begins, nil)
	r := start(t, newPipeline(c.ListenAddrs(), s), "one", testConfig())
	testkit.Eventually(t, patience, testkit.That("windows are done", func() bool { return r.metric(t, "millrace_ingest_windows_total") >= 3 }))
	r.stop()
	close(hold)
	s.Ingest.Incremental.Window = nil
	r = start(t, newPipeline(c.ListenAddrs(), s), "two", testConfig())
	r.awaitPasses(t, 2)
	r.stop()
	a.same(t, c.ListenAddrs())
}
