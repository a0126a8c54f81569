package ingest_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
)

// feed is a server of events with the ids 1, 2, … It closes a connection after so many events; 0: it does not.
type feed struct {
	*httptest.Server
	mu        sync.Mutex
	events    []string // as they are sent, without the id
	after     int
	status    int           // of the next connection, if not 0
	connected []string      // Last-Event-ID of each connection
	more      chan struct{} // closed when there is more, and replaced
}

func newFeed(t testing.TB) *feed {
	f := &feed{more: make(chan struct{})}
	f.Server = httptest.NewServer(f)
	t.Cleanup(func() { f.CloseClientConnections(); f.Close() })
	return f
}

func (f *feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.connected = append(f.connected, r.Header.Get("Last-Event-ID"))
	status, after := f.status, f.after
	f.status = 0
	f.mu.Unlock()
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	at, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprint(w, ": hello\nretry: 1\n\n")
	_ = http.NewResponseController(w).Flush()
	for sent := 0; after == 0 || sent < after; sent++ {
		f.mu.Lock()
		more, text := f.more, ""
		if at < len(f.events) {
			text = f.events[at]
		}
		f.mu.Unlock()
		if text == "" {
			select {
			case <-more:
				sent--
				continue
			case <-r.Context().Done():
				return
			}
		}
		at++
		_, _ = fmt.Fprintf(w, "id: %d\n%s\n\n", at, text)
		_ = http.NewResponseController(w).Flush()
	}
}

// send adds events.
func (f *feed) send(events ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, events...)
	close(f.more)
	f.more = make(chan struct{})
}

func (f *feed) connections() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.connected...)
}

// stream is a stream of the feed's events.
func (f *feed) stream(e pipeline.Events) pipeline.Stream {
	if e.Idle == 0 {
		e.Idle = time.Hour
	}
	return pipeline.Stream{Name: "changes", Ingest: pipeline.Ingest{
		HTTP: pipeline.HTTP{
			BaseURL: f.URL, Timeout: patience, Retry: pipeline.Retry{Initial: time.Millisecond, Max: 20 * time.Millisecond, Attempts: 4},
		},
		Path: "/changes", Key: []string{"id"}, ErrorWhen: "false", Events: &e, Concurrency: 1,
	}}
}

func change(id int) string {
	return fmt.Sprintf(`data: {"id": %d,`+"\ndata: \"text\": \"t%d\"}", id, id)
}

// rawKeys counts the records of a topic by key.
func rawKeys(t testing.TB, brokers []string, topic string) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, r := range testkit.Records(t, brokers, topic) {
		out[string(r.Key)]++
	}
	return out
}

// each is a count of one for n keys from 0.
func each(n int) map[string]int {
	out := map[string]int{}
	for i := range n {
		out[strconv.Itoa(i)] = 1
	}
	return out
}

// TestEventsGoOn: every event is in the raw topic once, whatever the server closes and refuses, whoever takes over. The
// id of the last event goes along with each connection.
func TestEventsGoOn(t *testing.T) {
	f := newFeed(t)
	f.after = 7
	const half = 50
	for i := range half {
		f.send(change(i))
	}
	c := testkafka.New(t)
	p := newPipeline(c.ListenAddrs(), f.stream(pipeline.Events{}))
	first := start(t, p, "one", testConfig())
	testkit.Await(t, c.ListenAddrs(), half, "shop.changes.raw")
	f.mu.Lock()
	f.status = http.StatusInternalServerError
	f.mu.Unlock()
	f.send(change(half))
	testkit.Await(t, c.ListenAddrs(), half+1, "shop.changes.raw")
	first.stop()
	for i := half + 1; i < 2*half; i++ {
		f.send(change(i))
	}
	start(t, p, "two", testConfig())
	testkit.Await(t, c.ListenAddrs(), 2*half, "shop.changes.raw")
	if d := cmp.Diff(each(2*half), rawKeys(t, c.ListenAddrs(), "shop.changes.raw")); d != "" {
		t.Error(d)
	}
	ids := f.connections()
	if ids[0] != "" {
		t.Errorf("the first connection asks for what follows %q", ids[0])
	}
	for _, id := range ids[1:] {
		if id == "" {
			t.Errorf("a connection without an id among %q", ids)
		}
	}
}

// TestEventsTypes: others move the cursor all the same; wrapped, what is no JSON is a text, else a dead letter.
func TestEventsTypes(t *testing.T) {
	f := newFeed(t)
	f.send("event: update\n"+change(1), "event: other\n"+change(2), "event: update\ndata: no JSON", "event: update\n"+change(3))
	c := testkafka.New(t)
	plain, wrapped := f.stream(pipeline.Events{Types: []string{"update"}}), f.stream(pipeline.Events{Wrap: true})
	wrapped.Name = "all"
	r := start(t, newPipeline(c.ListenAddrs(), plain, wrapped), "one", testConfig())
	testkit.Await(t, c.ListenAddrs(), 2, "shop.changes.raw")
	var all []string
	for _, rec := range testkit.Await(t, c.ListenAddrs(), 4, "shop.all.raw") {
		all = append(all, string(rec.Key))
	}
	if len(all) != 4 {
		t.Errorf("keys %v", all)
	}
	if d := cmp.Diff(map[string]int{"1": 1, "3": 1}, rawKeys(t, c.ListenAddrs(), "shop.changes.raw")); d != "" {
		t.Error(d)
	}
	letters := testkit.Await(t, c.ListenAddrs(), 1, "shop.changes.dlq")
	if got := string(letters[0].Value); got != "no JSON" {
		t.Errorf("letter %q", got)
	}
	found := false
	for _, rec := range testkit.Records(t, c.ListenAddrs(), "shop.all.raw") {
		found = found || string(rec.Value) == `{"id":"3","event":"update","data":"no JSON"}`
	}
	if !found {
		t.Error("no event whose data is a text")
	}
	r.stop()
}

// TestEventsIdle: a connection on which nothing comes is opened again, and health tells of a server that refuses.
func TestEventsIdle(t *testing.T) {
	f := newFeed(t)
	c := testkafka.New(t)
	r := start(t, newPipeline(c.ListenAddrs(), f.stream(pipeline.Events{Idle: 50 * time.Millisecond})), "one", testConfig())
	testkit.Eventually(t, patience, testkit.That("no second connection", func() bool { return len(f.connections()) > 2 }))
	f.send(change(0))
	testkit.Await(t, c.ListenAddrs(), 1, "shop.changes.raw")
	f.mu.Lock()
	f.status = http.StatusForbidden
	f.mu.Unlock()
	testkit.Eventually(t, patience, func() error {
		if !strings.Contains(r.log.String(), "403") {
			return errors.New("nothing is said of what the server refuses")
		}
		return nil
	})
}
