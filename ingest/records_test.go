package ingest_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// metric is the value of a counter or a gauge of a process, summed over its labels.
func (r *process) metric(t testing.TB, name string) (sum float64) {
	t.Helper()
	families, err := r.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// awaitPasses waits until n more passes have ended.
func (r *process) awaitPasses(t testing.TB, n float64) {
	t.Helper()
	until := r.metric(t, "millrace_ingest_passes_total") + n
	testkit.Eventually(t, patience, testkit.That("passes end", func() bool { return r.metric(t, "millrace_ingest_passes_total") >= until }))
}

func incremental(s pipeline.Stream, lookback time.Duration) pipeline.Stream {
	s.Ingest.Incremental = &pipeline.Incremental{Field: "updated_at", Param: "since", Lookback: lookback, Format: "rfc3339", Start: "2020-01-01T00:00:00Z"}
	s.Ingest.Version = "updated_at"
	s.Ingest.Every = 20 * time.Millisecond
	return s
}

// TestUnchangedRecordsAreNotWrittenAgain changes records between passes, there and back again, and restarts in between.
//
// Guards against drt-hub/drt#767.
func TestUnchangedRecordsAreNotWrittenAgain(t *testing.T) {
	full := func(s pipeline.Stream, _ time.Duration) pipeline.Stream {
		s.Ingest.Every = 20 * time.Millisecond
		return s
	}
	for name, kind := range map[string]func(pipeline.Stream, time.Duration) pipeline.Stream{"incremental": incremental, "full": full} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, 100)
			c := testkafka.New(t)
			pl := newPipeline(c.ListenAddrs(), kind(a.stream("items", byPage), 24*time.Hour))
			want := a.wantOnce()
			var r *process
			restart := func() {
				if r != nil {
					r.stop()
				}
				r = start(t, pl, "one", testConfig())
				r.awaitPass(t)
			}
			restart()
			r.awaitPasses(t, 2)
			at := time.Unix(1_700_000_050, 0) // in the look-back, and not the newest
			for i, text := range []string{"B", "text 7", "B", "text 7"} {
				a.update(7, text, at)
				if i == 0 {
					at = time.Unix(1_700_000_007, 0) // and back to where it was, with the same bytes
				}
				want["7"] = append(want["7"], text)
				r.awaitPasses(t, 2)
				if i%2 == 0 {
					restart()
				}
			}
			restart()
			r.awaitPasses(t, 2)
			if n := r.metric(t, "millrace_ingest_records_total"); n != 0 {
				t.Errorf("%v records written after the restart, want none", n)
			}
			if n := r.metric(t, "millrace_ingest_unchanged_records_total"); n < 100 {
				t.Errorf("%v records were found unchanged, want 100 or more", n)
			}
			r.stop()
			if d := cmp.Diff(want, texts(t, c.ListenAddrs(), "shop.items.raw")); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestSinceAdvancesAtTheEndOfAPass looks at what is asked for.
func TestSinceAdvancesAtTheEndOfAPass(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 35)
	c := testkafka.New(t)
	r := start(t, newPipeline(c.ListenAddrs(), incremental(a.stream("items", byCursor), 10*time.Second)), "one", testConfig())
	r.awaitPass(t)
	r.awaitPasses(t, 1)
	r.stop()
	for i, u := range a.seen()[:5] {
		want := "since=2020-01-01T00%3A00%3A00Z"
		if i >= 4 { // the newest is of 22:13:54; less ten seconds
			want = "since=2023-11-14T22%3A13%3A44Z"
		}
		if !strings.Contains(u, want) {
			t.Errorf("request %d is %s, want %s in it", i, u, want)
		}
	}
	for _, rec := range testkit.Records(t, c.ListenAddrs(), "shop.items.raw") {
		h, err := topics.ParseRawHeaders(rec)
		if err != nil || !h.HasSource || h.Source < 1_700_000_000e6 || !strings.HasPrefix(h.PageID, "1.") || !strings.HasPrefix(h.URL, a.URL+"/items?") {
			t.Errorf("headers %+v, %v", h, err)
		}
	}
}

// TestStartIsChangedWithinAPass: the pages of the pass under way would be those of another list.
func TestStartIsChangedWithinAPass(t *testing.T) {
	t.Parallel()
	const n, half = 100, 40
	a := newAPI(t, n)
	c := testkafka.New(t)
	var whole atomic.Bool
	a.intercept(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if whole.Load() || r.URL.Query().Get("page") < "3" {
			return false
		}
		http.Error(w, "later", http.StatusServiceUnavailable)
		return true
	})
	from := func(start int) *pipeline.Pipeline {
		s := a.stream("items", byPage)
		at := time.Unix(1_700_000_000+int64(start), 0).UTC().Format(time.RFC3339)
		s.Ingest.Incremental = &pipeline.Incremental{Field: "updated_at", Param: "since", Start: at, Format: "rfc3339"}
		return newPipeline(c.ListenAddrs(), s)
	}
	r := start(t, from(half), "one", testConfig())
	testkit.Await(t, c.ListenAddrs(), 1, "shop.items.raw")
	r.stop()
	whole.Store(true)
	r = start(t, from(0), "two", testConfig())
	r.awaitPass(t)
	r.stop()
	if got := texts(t, c.ListenAddrs(), "shop.items.raw"); len(got) != n {
		t.Errorf("%d records, want %d", len(got), n)
	}
}

// TestIncrementalFieldIsChanged: what was reached by one field says nothing of what has changed by another.
func TestIncrementalFieldIsChanged(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1000)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Query().Get("since")
		_, _ = io.WriteString(w, `{"data":[{"id":1,"created_at":"2024-05-01T00:00:00Z","updated_at":"2024-03-01T00:00:00Z"}]}`)
	}))
	t.Cleanup(api.Close)
	c := testkafka.New(t)
	for _, pass := range []struct{ field, since string }{
		{"created_at", ""}, {"created_at", "2024-05-01T00:00:00Z"}, {"updated_at", ""}, {"updated_at", "2024-03-01T00:00:00Z"},
	} {
		s := (&whole{api}).stream()
		s.Ingest.Incremental = &pipeline.Incremental{Field: pass.field, Param: "since", Format: "rfc3339"}
		r := start(t, newPipeline(c.ListenAddrs(), s), "one", testConfig())
		r.awaitPass(t)
		r.stop()
		if since := <-asked; since != pass.since {
			t.Errorf("by %s: asked since %q, want %q", pass.field, since, pass.since)
		}
	}
	if got := texts(t, c.ListenAddrs(), "shop.items.raw"); len(got) != 1 {
		t.Errorf("%d keys, want 1", len(got))
	}
}

func TestRecordsWithoutKeyAreDeadLetters(t *testing.T) {
	t.Parallel()
	body := `{"data":[{"id":1,"text":"a"},{"text":"no id"},{"id":null},{"id":{"a":1}},7,{"id":true},{"id":"2","text":"` + "\xff" + `"}]}`
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
	t.Cleanup(api.Close)
	c := testkafka.New(t)
	s := (&whole{api}).stream()
	s.Ingest.Every = 10 * time.Millisecond
	r := start(t, newPipeline(c.ListenAddrs(), s), "one", testConfig())
	r.awaitPass(t)
	r.awaitPasses(t, 3)
	r.stop()
	var raw, dead []string
	for _, rec := range testkit.Records(t, c.ListenAddrs(), "shop.items.raw") {
		raw = append(raw, string(rec.Key))
	}
	for _, rec := range testkit.Records(t, c.ListenAddrs(), "shop.items.dlq") {
		reason, _ := topics.Header(rec, topics.HeaderReason)
		id, _ := topics.Header(rec, topics.HeaderID)
		dead = append(dead, fmt.Sprintf("%s %s %s", id, rec.Value, reason))
	}
	slices.Sort(raw)
	slices.Sort(dead)
	if d := cmp.Diff([]string{"1", "2", "true"}, raw); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{
		`ingest:items/:1.0:1 {"text":"no id"} the key field "id" is missing`,
		`ingest:items/:1.0:2 {"id":null} the key field "id" is null`,
		`ingest:items/:1.0:3 {"id":{"a":1}} the key field "id" is an object or array`,
		`ingest:items/:1.0:4 7 the key field "id" is missing`,
	}, dead); d != "" {
		t.Error(d)
	}
	if n := r.metric(t, "millrace_ingest_dead_letters_total"); n != 4 {
		t.Errorf("%v dead letters counted, want 4", n)
	}
	told := r.log.String()
	if n := strings.Count(told, "records refused"); n != 3 { // missing, null, an object: three kinds of reason
		t.Errorf("the log tells %d times of refused records, want 3:\n%s", n, told)
	}
	for _, want := range []string{`key="none: record 1 of http`, "count=2", "topic=shop.items.dlq", `next="millrace dlq list FILE items"`} {
		if !strings.Contains(told, want) {
			t.Errorf("the log lacks %s:\n%s", want, told)
		}
	}
	if got := r.Health.Degraded()["ingest items"]; !strings.Contains(got, "4 records refused, in shop.items.dlq") {
		t.Errorf("health: %q", got)
	}
}

// whole is an API that answers everything at once.
type whole struct{ *httptest.Server }

func (a *whole) stream() pipeline.Stream {
	return pipeline.Stream{Name: "items", Ingest: pipeline.Ingest{
		HTTP: pipeline.HTTP{BaseURL: a.URL, Timeout: 60 * time.Second, Retry: pipeline.Retry{Initial: time.Millisecond, Max: 50 * time.Millisecond, Attempts: 2}},
		Path: "/", Records: []string{"data"}, Key: []string{"id"},
	}}
}

// TestRecordsThatCannotBeTaken are dead letters with what can be kept of them; their neighbours and later pages go on.
func TestRecordsThatCannotBeTaken(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001)
	large := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct{ bad, key, reason string }{
		"too large":          {`{"id":"bad","text":"` + large + `"}`, "bad", "kafka.max_record_bytes = 1048576"},
		"large without key":  {`{"text":"` + large + `"}`, "", `"id" is missing`},
		"too deep":           {`{"id":"bad","text":` + deep + `}`, "bad", "exceeded max depth"},
		"NaN":                {`{"id":"bad","n":NaN}`, "bad", "invalid character 'N'"},
		"not a value at all": {`undefined`, "", "invalid character 'u'"},
		"control character":  {"{\"id\":\"bad\",\"text\":\"a\x01b\"}", "bad", "invalid character"},
		"broken key":         {`{"id":NaN}`, "", "invalid character 'N'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Query().Get("page") {
				case "0":
					_, _ = fmt.Fprintf(w, `{"data":[{"id":1}, %s , {"id":2},%s,{"id":3}]}`, c.bad, c.bad)
				case "1":
					_, _ = io.WriteString(w, `{"data":[{"id":4}]}`)
				default:
					_, _ = io.WriteString(w, `{"data":[]}`)
				}
			}))
			t.Cleanup(api.Close)
			s := (&whole{api}).stream()
			s.Ingest.Paginate = pipeline.Paginate{Page: &pipeline.PageNumber{Param: "page", Stop: pipeline.StopRule{When: "empty"}}}
			cluster := testkafka.New(t)
			r := start(t, newPipeline(cluster.ListenAddrs(), s), "one", testConfig())
			r.awaitPass(t)
			r.stop()
			var raw []string
			for _, rec := range testkit.Records(t, cluster.ListenAddrs(), "shop.items.raw") {
				raw = append(raw, string(rec.Key))
			}
			if slices.Sort(raw); !slices.Equal(raw, []string{"1", "2", "3", "4"}) {
				t.Errorf("raw has the keys %v; log:\n%s", raw, r.log)
			}
			letters := testkit.Records(t, cluster.ListenAddrs(), "shop.items.dlq")
			if len(letters) != 1 { // the second is the same again
				t.Fatalf("%d letters, want 1; log:\n%s", len(letters), r.log)
			}
			letter, origin, err := topics.ParseLetter(letters[0])
			if err != nil || !strings.Contains(letter.Reason, c.reason) || string(letters[0].Key) != c.key || !strings.HasSuffix(origin.ID, ":1") {
				t.Errorf("letter %+v of %s with key %q, %v; want the key %q and the reason %q", letter, origin.ID, letters[0].Key, err, c.key, c.reason)
			}
			if want := c.bad[:min(len(c.bad), 64<<10)]; string(letters[0].Value) != want {
				t.Errorf("the letter holds %.80q…, %d bytes; want %.80q…, %d bytes", letters[0].Value, len(letters[0].Value), want, len(want))
			}
		})
	}
}

// TestLargePageCommitsInParts stops processes within a page of several transactions.
func TestLargePageCommitsInParts(t *testing.T) {
	t.Parallel()
	const n = 40_000
	var body strings.Builder
	body.WriteString(`{"data":[`)
	for i := range n {
		fmt.Fprintf(&body, `{"id":%d,"text":"%s"},`, i, strings.Repeat("y", 300))
	}
	body.WriteString(`{"id":"last"}]}`)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body.String()) }))
	t.Cleanup(api.Close)
	c := testkafka.New(t)
	cfg := testConfig()
	cfg.TransactionBytes, cfg.PageMemoryBytes, cfg.RememberedRecords, cfg.Drain = 1<<20, 64<<10, 0, 1
	pl := newPipeline(c.ListenAddrs(), (&whole{api}).stream())
	for i := 0; ; i++ {
		r := start(t, pl, fmt.Sprint("p", i), cfg)
		if i < 6 {
			committed := 2000 + rand.N(8000)
			testkit.Eventually(t, patience, testkit.That("some is committed", func() bool {
				return r.metric(t, "millrace_ingest_records_total") >= float64(committed) || done(r.PassesDone())
			}))
			r.stop()
			continue
		}
		r.awaitPass(t)
		r.stop()
		break
	}
	counts := map[string]int{} // in the first pass: a process may have begun another one
	for _, rec := range testkit.Records(t, c.ListenAddrs(), "shop.items.raw") {
		h, err := topics.ParseRawHeaders(rec)
		if err != nil {
			t.Fatal(err)
		}
		if h.PageID == "1.0" {
			counts[string(rec.Key)]++
		}
	}
	for k, n := range counts {
		if n != 1 {
			t.Fatalf("%s is in raw %d times", k, n)
		}
	}
	if len(counts) != n+1 {
		t.Errorf("%d records, want %d", len(counts), n+1)
	}
}

// TestHugePage fetches a page of 200 MB. It is not parallel: it looks at the memory of the whole process.
//
// Guards against airbytehq/airbyte#12863.
func TestHugePage(t *testing.T) {
	if testing.Short() {
		t.Skip("a page of 200 MB")
	}
	n, size := 200_000, 1000
	if raceDetector {
		n = 20_000
	}
	text := strings.Repeat("z", size)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"data":[`)
		for i := range n {
			_, _ = fmt.Fprintf(w, `{"id":%d,"text":"%s"},`, i, text)
		}
		_, _ = io.WriteString(w, `{"id":"last"}]}`)
	}))
	t.Cleanup(api.Close)
	c := testkafka.New(t)
	cfg := testConfig()
	cfg.RememberedRecords = 10_000
	runtime.GC()
	debug.FreeOSMemory()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	r := start(t, newPipeline(c.ListenAddrs(), (&whole{api}).stream()), "one", cfg)
	var peak uint64
	testkit.Eventually(t, patience, testkit.That("the page is committed", func() bool {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapInuse-min(m.HeapInuse, before.HeapInuse))
		return done(r.PassesDone())
	}))
	if records := r.metric(t, "millrace_ingest_records_total"); records != float64(n+1) {
		t.Errorf("%v records, want %d", records, n+1)
	}
	t.Logf("heap grew by up to %d MiB, broker and API included", peak>>20)
	if peak > 100<<20 {
		t.Errorf("heap grew by %d MiB for a page of %d MB", peak>>20, n*size/1_000_000)
	}
}
