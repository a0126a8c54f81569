package ingest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
)

// reports is an API that makes reports: each is done after it was asked for so often, and has its files then.
type reports struct {
	*httptest.Server
	mu      sync.Mutex
	after   int            // questions until a job is done
	created int            // jobs
	asked   map[string]int // questions, by job
	failed  map[string]bool
	gone    map[string]bool
}

func newReports(t testing.TB) *reports {
	r := &reports{asked: map[string]int{}, failed: map[string]bool{}, gone: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /reports", func(w http.ResponseWriter, _ *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.created++
		id := fmt.Sprint("r", r.created)
		w.Header().Set("Location", "/reports/"+id)
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(map[string]any{"id": id, "status": "queued"})
	})
	mux.HandleFunc("GET /reports/{id}", func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		id := req.PathValue("id")
		r.asked[id]++
		switch {
		case r.gone[id]:
			w.WriteHeader(http.StatusNotFound)
		case r.failed[id]:
			_ = json.NewEncoder(w).Encode(map[string]any{"id": id, "status": "failed", "why": "out of disk"})
		case r.asked[id] <= r.after:
			_ = json.NewEncoder(w).Encode(map[string]any{"id": id, "status": "running"})
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{"id": id, "status": "done", "files": []string{"/files/" + id + "/0", "/files/" + id + "/1"}})
		}
	})
	mux.HandleFunc("GET /files/{id}/{n}", func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/zip")
		_, _ = w.Write(zipped(t, "part.csv", "id,of\n"+req.PathValue("n")+","+req.PathValue("id")+"\n"))
	})
	r.Server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

func (r *reports) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *reports) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.created
}

const reportStream = `path: /reports, method: POST, format: csv, key: id, every: 1h, retry: {initial: 1ms, max: 5ms, attempts: 1},
  job: {id: id, status_path: "/reports/{job}", done: status == "done", failed: status == "failed", poll: 10ms, result: files}`

func wantReport(t *testing.T, brokers []string, of string) {
	t.Helper()
	got := map[string]bool{}
	for _, r := range testkit.Await(t, brokers, 2, "shop.items.raw") {
		got[string(r.Value)] = true
	}
	want := map[string]bool{`{"id":"0","of":"` + of + `"}`: true, `{"id":"1","of":"` + of + `"}`: true}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestReportJob: it is created, asked for until it is done, and its files are the pages.
func TestReportJob(t *testing.T) {
	for name, ingest := range map[string]string{
		"by its id":  reportStream,
		"by its URL": strings.Replace(reportStream, `id: id, status_path: "/reports/{job}"`, "id_header: Location", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := newReports(t)
			api.after = 3
			k := testkafka.New(t)
			r := start(t, streamFrom(t, k.ListenAddrs(), api.URL, ingest), "one", testConfig())
			r.awaitPass(t)
			r.stop()
			wantReport(t, k.ListenAddrs(), "r1")
			if n := api.count(); n != 1 {
				t.Errorf("%d jobs", n)
			}
		})
	}
}

// TestReportJobOutlivesTheProcess: whoever takes over asks for the job that is there, and creates no other.
func TestReportJobOutlivesTheProcess(t *testing.T) {
	api := newReports(t)
	api.after = 1 << 30
	k := testkafka.New(t)
	p := streamFrom(t, k.ListenAddrs(), api.URL, reportStream)
	first := start(t, p, "one", testConfig())
	testkit.Eventually(t, patience, testkit.That("nobody asks for the job", func() (asked bool) {
		api.set(func() { asked = api.asked["r1"] > 2 })
		return asked
	}))
	first.stop()
	api.set(func() { api.after = 0 })
	second := start(t, p, "two", testConfig())
	second.awaitPass(t)
	second.stop()
	wantReport(t, k.ListenAddrs(), "r1")
	if n := api.count(); n != 1 {
		t.Errorf("%d jobs were created", n)
	}
}

// TestReportJobThatFails: another is created, and what is wrong is told.
func TestReportJobThatFails(t *testing.T) {
	for name, spoil := range map[string]func(*reports){
		"failed": func(r *reports) { r.failed["r1"] = true },
		"gone":   func(r *reports) { r.gone["r1"] = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := newReports(t)
			spoil(api)
			k := testkafka.New(t)
			r := start(t, streamFrom(t, k.ListenAddrs(), api.URL, reportStream), "one", testConfig())
			r.awaitPass(t)
			wantReport(t, k.ListenAddrs(), "r2")
			if n := api.count(); n != 2 {
				t.Errorf("%d jobs", n)
			}
			testkit.Eventually(t, patience, func() error {
				if !strings.Contains(r.log.String(), map[string]string{"failed": "out of disk", "gone": "404"}[name]) {
					return errors.New("nothing is said of it")
				}
				return nil
			})
			r.stop()
		})
	}
}
