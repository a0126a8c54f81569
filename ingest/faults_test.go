package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// fail answers in one of the ways in which APIs fail.
func fail(kind int, a *api, w http.ResponseWriter, r *http.Request) {
	switch kind {
	case 0:
		w.Header().Set("Retry-After", "0")
		http.Error(w, "slow down", http.StatusTooManyRequests)
	case 1:
		http.Error(w, "oops", http.StatusInternalServerError)
	case 2: // cut within the body
		w.Header().Set("Content-Length", "5000")
		_, _ = io.WriteString(w, `{"data":[{"id":1,`)
		panic(http.ErrAbortHandler)
	case 3: // complete for HTTP, but not JSON to its end
		_, _ = io.WriteString(w, `{"meta":{"next":null},"data":[{"id":1,"text":"wrong"}]`)
	case 4: // cut before the header
		panic(http.ErrAbortHandler)
	case 5: // slow
		testkit.Pause(r.Context(), 30*time.Millisecond)
		a.page(w, r)
	default: // a proxy's page
		_, _ = io.WriteString(w, "<html>welcome</html>")
	}
}

func TestFailingAPI(t *testing.T) {
	for name, p := range map[string]pipeline.Paginate{"page": byPage, "cursor": byCursor, "link": byLink} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, 237)
			a.intercept(func(n int, w http.ResponseWriter, r *http.Request) bool {
				if n%2 == 0 {
					return false
				}
				fail(n/2%7, a, w, r)
				return true
			})
			c := testkafka.New(t)
			r := start(t, newPipeline(c.ListenAddrs(), a.stream("items", p)), "one", testConfig())
			r.awaitPass(t)
			r.stop()
			a.once(t, c.ListenAddrs())
		})
	}
}

// TestAbruptStops ends processes without a drain at random moments; raw must be as if nothing had happened.
//
// Guards against castorm/kafka-connect-http#88.
func TestAbruptStops(t *testing.T) {
	for name, c := range map[string]struct {
		paginate    pipeline.Paginate
		incremental bool
	}{
		"page":                {byPage, false},
		"cursor":              {byCursor, false},
		"page, incremental":   {byPage, true},
		"cursor, incremental": {byCursor, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, 600)
			a.intercept(func(int, http.ResponseWriter, *http.Request) bool {
				testkit.Pause(t.Context(), time.Millisecond)
				return false
			})
			s := a.stream("items", c.paginate)
			if c.incremental {
				s = incremental(s, time.Hour)
			}
			brokers := testkafka.New(t).ListenAddrs()
			pl := newPipeline(brokers, s)
			cfg := testConfig()
			cfg.Drain = 1 // drop everything at once
			for i := range 12 {
				before := a.count.Load()
				r := start(t, pl, fmt.Sprint("p", i), cfg)
				requests := before + 1 + rand.Int64N(12)
				testkit.Eventually(t, patience, testkit.That("requests are made", func() bool { return a.count.Load() >= requests || done(r.PassesDone()) }))
				testkit.Pause(t.Context(), rand.N(8*time.Millisecond)) // the moment is random
				r.stop()
			}
			r := start(t, pl, "last", testConfig())
			r.awaitPass(t)
			if c.incremental { // what is asked for again is known
				r.awaitPasses(t, 2)
			}
			r.stop()
			if d := cmp.Diff(a.wantOnce(), texts(t, brokers, "shop.items.raw")); d != "" {
				t.Error(d)
			}
		})
	}
}

func done(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// TestUnknownOutcomes has the broker answer commits with an error, having done them or not.
func TestUnknownOutcomes(t *testing.T) {
	a := newAPI(t, 400)
	c := testkafka.New(t)
	lossy := &lossyDialer{}
	var commits, failed atomic.Int64
	c.ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		n := commits.Add(1)
		switch {
		case lossy.lost.CompareAndSwap(true, false): // the retry of one whose answer was lost
		case n > 12:
			return nil, nil, false
		case n%3 == 1:
			lossy.lose.Store(true) // do it, and lose the answer
			return nil, nil, false
		case n%3 != 2:
			return nil, nil, false
		}
		failed.Add(1)
		resp := req.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = kerr.UnknownServerError.Code
		return resp, nil, true
	})
	var before atomic.Int64
	// so that pages do not wait for one commit of all
	a.intercept(func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/others" {
			_ = testkit.Until(r.Context(), time.Second, testkit.That("a commit", func() bool { return commits.Load() > before.Load() }))
			before.Store(commits.Load())
		}
		return false
	})
	pl := newPipeline(c.ListenAddrs(), a.stream("items", byPage), a.stream("others", byCursor))
	cfg := testConfig()
	cfg.CommitInterval = time.Millisecond
	r := startWith(t, pl, "one", cfg, kgo.Dialer(lossy.dial))
	r.awaitPass(t)
	r.stop()
	for _, topic := range []string{"shop.items.raw", "shop.others.raw"} {
		if d := cmp.Diff(a.wantOnce(), texts(t, c.ListenAddrs(), topic)); d != "" {
			t.Errorf("%s: %s", topic, d)
		}
	}
	if failed.Load() < 3 || lossy.losses.Load() < 2 {
		t.Errorf("only %d commits failed, %d of them after they were done", failed.Load(), lossy.losses.Load())
	}
}

// lossyDialer makes connections that lose the answer to a commit when told to, and that can be frozen.
type lossyDialer struct {
	lose   atomic.Bool
	lost   atomic.Bool
	losses atomic.Int64
	mu     sync.RWMutex // held by who freezes
}

func (d *lossyDialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var nd net.Dialer
	c, err := nd.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &lossyConn{Conn: c, d: d}, nil
}

type lossyConn struct {
	net.Conn
	d      *lossyDialer
	commit atomic.Bool // an EndTxn request is under way
}

func (c *lossyConn) Write(p []byte) (int, error) {
	c.d.mu.RLock()
	defer c.d.mu.RUnlock()
	if len(p) > 6 && int16(p[4])<<8|int16(p[5]) == int16(kmsg.EndTxn) {
		c.commit.Store(true)
	}
	return c.Conn.Write(p)
}

func (c *lossyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.d.mu.RLock()
	defer c.d.mu.RUnlock()
	if err == nil && c.commit.CompareAndSwap(true, false) && c.d.lose.CompareAndSwap(true, false) {
		c.d.lost.Store(true)
		c.d.losses.Add(1)
		return 0, errors.Join(errors.New("connection reset"), c.Close())
	}
	return n, err
}

// TestFrozenProcessIsFenced freezes a process between the records of a transaction and its commit until another has
// taken over and gone on.
func TestFrozenProcessIsFenced(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 300)
	c := testkafka.New(t)
	frozen := &lossyDialer{}
	var once sync.Once
	hold := make(chan struct{})
	release := make(chan struct{})
	a.intercept(func(n int, _ http.ResponseWriter, r *http.Request) bool {
		if n == 12 {
			once.Do(func() {
				frozen.mu.Lock() // nothing of its goes to the broker, or comes from there, any more
				close(hold)
				go func() { <-release; frozen.mu.Unlock() }()
			})
		}
		return false
	})
	pl := newPipeline(c.ListenAddrs(), a.stream("items", byCursor))
	zombie := startWith(t, pl, "zombie", testConfig(), kgo.Dialer(frozen.dial))
	<-hold
	heir := start(t, pl, "heir", testConfig())
	heir.awaitPass(t)
	a.update(5, "changed", time.Unix(1_700_000_000, 0))
	close(release)
	testkit.Eventually(t, patience, testkit.That("the zombie says that it was fenced", func() bool { return strings.Contains(zombie.log.String(), "fenced: ") }))
	testkit.Eventually(t, patience, testkit.That("the zombie joins again", func() bool {
		log := zombie.log.String()
		return strings.Contains(log[strings.Index(log, "fenced: "):], "partitions assigned")
	}))
	heir.stop()
	zombie.stop()
	got := texts(t, c.ListenAddrs(), "shop.items.raw")
	want := a.wantOnce()
	if len(got["5"]) == 2 { // whoever has the slice after a restart of the group may begin another pass
		want["5"] = []string{"text 5", "changed"}
	} else {
		want["5"] = []string{"text 5"}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestProcessesShareSlices runs processes that come and go over many slices.
//
// Guards against faucet-hq/faucet-stream#535.
func TestProcessesShareSlices(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 150)
	c := testkafka.New(t)
	s := a.stream("items", byCursor)
	s.Ingest.Slices = &pipeline.Slices{Name: "region"}
	s.Ingest.Query["region"] = []string{"{region}"}
	for i := range 24 {
		s.Ingest.Slices.Values = append(s.Ingest.Slices.Values, fmt.Sprintf("r%d", i))
	}
	a.intercept(func(int, http.ResponseWriter, *http.Request) bool {
		testkit.Pause(t.Context(), 20*time.Millisecond)
		return false
	})
	pl := newPipeline(c.ListenAddrs(), s)
	one := start(t, pl, "one", testConfig())
	testkit.Eventually(t, patience, testkit.That("one works", func() bool { return a.count.Load() > 40 }))
	two := start(t, pl, "two", testConfig())
	testkit.Eventually(t, patience, testkit.That("two has slices", func() bool { return strings.Contains(two.log.String(), "partitions assigned") }))
	three := start(t, pl, "three", testConfig())
	two.awaitPass(t)
	one.stop()
	two.awaitPass(t)
	three.awaitPass(t)
	two.stop()
	three.stop()
	last := start(t, pl, "last", testConfig())
	last.awaitPass(t)
	last.stop()
	type at struct{ key, slice string }
	counts := map[at]int{}
	for _, r := range testkit.Records(t, c.ListenAddrs(), "shop.items.raw") {
		h, err := topics.ParseRawHeaders(r)
		if err != nil {
			t.Fatal(err)
		}
		counts[at{string(r.Key), h.Slice}]++
	}
	if len(counts) != 24*150 {
		t.Errorf("%d records, want %d", len(counts), 24*150)
	}
	for k, n := range counts {
		if n != 1 {
			t.Fatalf("%v is in raw %d times", k, n)
		}
	}
}
