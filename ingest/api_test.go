package ingest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
)

// TestAPIGivesFewerThanAsked: an API that caps its pages below the limit in the file loses no record.
func TestAPIGivesFewerThanAsked(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 95)
	a.cap = 7
	c := testkafka.New(t)
	r := start(t, newPipeline(c.ListenAddrs(), a.stream("items", byOffset(pipeline.StopRule{When: "empty"}))), "one", testConfig())
	r.awaitPass(t)
	r.stop()
	a.once(t, c.ListenAddrs())
}

// TestAnswersInAnyOrder: pages in flight at once are committed in order, whichever comes first.
func TestAnswersInAnyOrder(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 400)
	var flying, most atomic.Int64
	a.intercept(func(n int, _ http.ResponseWriter, _ *http.Request) bool {
		now := flying.Add(1)
		for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
		}
		testkit.Pause(t.Context(), time.Duration(n*7%5)*4*time.Millisecond)
		flying.Add(-1)
		return false
	})
	c := testkafka.New(t)
	pl := newPipeline(c.ListenAddrs(), a.stream("items", byPage))
	pl.Kafka.Partitions = 1
	r := start(t, pl, "one", testConfig())
	r.awaitPass(t)
	r.stop()
	for i, rec := range testkit.Records(t, c.ListenAddrs(), "shop.items.raw") {
		if string(rec.Key) != strconv.Itoa(i) {
			t.Fatalf("record %d has key %s", i, rec.Key)
		}
	}
	if m := most.Load(); m < 2 || m > 4 {
		t.Errorf("%d requests were in flight at once, want 2 to 4", m)
	}
}

// TestLoopsAreNamed: an API that goes in circles stops its stream, and says what came again.
//
// Guards against airbytehq/airbyte#33803, airbytehq/airbyte#58629.
func TestLoopsAreNamed(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 40)
	a.intercept(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		cursor := r.URL.Query().Get("cursor")
		next := map[string]string{"": "b", "b": "c", "c": "b"}[cursor]
		_, _ = fmt.Fprintf(w, `{"data":[{"id":%q}],"meta":{"next":%q,"more":true}}`, "of "+cursor, next)
		return true
	})
	c := testkafka.New(t)
	ignored := a.stream("ignored", byOffset(pipeline.StopRule{When: "has_more", Field: []string{"meta", "more"}}))
	r := start(t, newPipeline(c.ListenAddrs(), a.stream("items", byCursor), ignored), "one", testConfig())
	testkit.Eventually(t, patience, testkit.That("the streams say so", func() bool {
		w := r.Health.Waiting()
		return strings.Contains(w["ingest"], `leads back to "b"`) && strings.Contains(w["ingest"], "exactly the records of the page before")
	}))
}

// TestExpiredCursorBeginsAgain: an API that forgets its cursors is asked from the first page on.
func TestExpiredCursorBeginsAgain(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 95)
	var expired atomic.Int64
	a.intercept(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("cursor") == "50" && expired.Add(1) == 1 {
			http.Error(w, "cursor expired", http.StatusGone)
			return true
		}
		return false
	})
	c := testkafka.New(t)
	r := start(t, newPipeline(c.ListenAddrs(), a.stream("items", byCursor)), "one", testConfig())
	r.awaitPass(t)
	r.stop()
	a.once(t, c.ListenAddrs())
}

// TestRefusingAPIIsWaitedFor: a stream that is refused says why and what to correct, and goes on when it is let in.
func TestRefusingAPIIsWaitedFor(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 30)
	var refuse atomic.Bool
	refuse.Store(true)
	a.intercept(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if refuse.Load() {
			http.Error(w, "who are you, "+r.Header.Get("Authorization")+"?", http.StatusUnauthorized)
		}
		return refuse.Load()
	})
	c := testkafka.New(t)
	s := a.stream("items", byPage)
	s.Ingest.HTTP.Auth.Bearer = "t0ps3cret"
	r := start(t, newPipeline(c.ListenAddrs(), s), "one", testConfig())
	testkit.Eventually(t, patience, testkit.That("health says so", func() bool { return strings.Contains(r.Health.Waiting()["ingest"], "check http.auth") }))
	refuse.Store(false)
	r.awaitPass(t)
	testkit.Eventually(t, patience, testkit.That("it is ready", func() bool { return len(r.Health.Waiting()) == 0 }))
	r.stop()
	if log := r.log.String(); strings.Contains(log, "t0ps3cret") || strings.Count(log, "waiting for "+s.Ingest.HTTP.BaseURL[len("http://"):]) != 2 || !strings.Contains(log, "no longer waiting") {
		t.Errorf("log:\n%s", log)
	}
}

// TestNoSecretInTopics: neither URLs nor next pages take the API key into Kafka.
func TestNoSecretInTopics(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 45)
	a.intercept(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("code") != "t0ps3cret" {
			http.Error(w, "no", http.StatusForbidden)
			return true
		}
		return false // the next page's URL has the code
	})
	c := testkafka.New(t)
	s := a.stream("items", byURL)
	s.Ingest.HTTP.Auth.APIKey = &pipeline.APIKey{Param: "code", Value: "t0ps3cret"}
	r := start(t, newPipeline(c.ListenAddrs(), s), "one", testConfig())
	r.awaitPass(t)
	r.stop()
	for _, topic := range []string{"shop.items.raw", "shop.ingest.state"} {
		for _, rec := range testkit.Records(t, c.ListenAddrs(), topic) {
			if s := fmt.Sprintf("%s %s %s", rec.Key, rec.Value, rec.Headers); strings.Contains(s, "t0ps3cret") {
				t.Fatalf("%s: %s", topic, s)
			}
		}
	}
	a.once(t, c.ListenAddrs())
}

// TestNoReferenceInTopics: neither does a token that the file puts into the query or the path: the API echoes both into
// the URL of the next page, which is kept in the state topic while the pass is interrupted.
func TestNoReferenceInTopics(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 45)
	var hold atomic.Bool
	hold.Store(true)
	a.intercept(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		q := r.URL.Query()
		switch {
		case q.Get("token") != "t0p+s3cret" || !strings.HasPrefix(r.URL.Path, "/bot1234:s3cret/") || q.Get("region") != "eu":
			http.Error(w, "no: "+r.URL.String(), http.StatusForbidden)
		case hold.Load() && q.Get("cursor") == "30":
			http.Error(w, "not yet: "+r.URL.String(), http.StatusInternalServerError)
		default:
			return false
		}
		return true
	})
	c := testkafka.New(t)
	s := a.stream("items", byURL)
	s.Ingest.HTTP.BaseURL += "/bot1234:s3cret"
	s.Ingest.Query["token"], s.Ingest.Query["region"] = []string{"t0p+s3cret"}, []string{"eu"}
	s.Ingest.HTTP.Secrets = []pipeline.Reference{
		{Name: "TOKEN", Value: "t0p+s3cret"}, {Name: "BOT", Value: "bot1234:s3cret"}, {Name: "REGION", Value: "eu"},
	}
	p := newPipeline(c.ListenAddrs(), s)
	r := start(t, p, "one", testConfig())
	testkit.Eventually(t, patience, testkit.That("three pages", func() bool {
		return r.metric(t, "millrace_ingest_pages_total") >= 3 && strings.Contains(r.Health.Waiting()["ingest"], "not yet")
	}))
	r.stop()
	shown := r.log.String() + fmt.Sprint(r.Health.Waiting())
	hold.Store(false)
	r = start(t, p, "one", testConfig()) // goes on from the URL that was kept
	r.awaitPass(t)
	r.stop()
	shown += r.log.String()
	for _, topic := range []string{"shop.items.raw", "shop.ingest.state"} {
		for _, rec := range testkit.Records(t, c.ListenAddrs(), topic) {
			shown += fmt.Sprintf("%s: %s %s %s\n", topic, rec.Key, rec.Value, rec.Headers)
		}
	}
	if strings.Contains(shown, "s3cret") || strings.Contains(shown, "=eu") || !strings.Contains(shown, "mr-secret-") {
		t.Errorf("shown:\n%s", shown)
	}
	a.once(t, c.ListenAddrs())
}

// TestDrainCommitsWhatIsThere: a stop commits the pages in hand, also those of a transaction that waits for more.
func TestDrainCommitsWhatIsThere(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 30)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	var reached sync.WaitGroup
	reached.Add(1)
	a.intercept(func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("cursor") == "20" {
			reached.Done()
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}
		return false
	})
	c := testkafka.New(t)
	cfg := testConfig()
	cfg.CommitInterval = 5 * time.Second
	s := a.stream("items", byCursor)
	s.Ingest.HTTP.Timeout = time.Minute
	r := start(t, newPipeline(c.ListenAddrs(), s), "one", cfg)
	reached.Wait()
	begun := time.Now()
	r.stop()
	if took := time.Since(begun); took > 45*time.Second {
		t.Errorf("the drain took %v", took)
	}
	if n := len(testkit.Records(t, c.ListenAddrs(), "shop.items.raw")); n != 20 {
		t.Errorf("%d records, want the 20 that were there", n)
	}
}

// TestKafkaIsWaitedFor: brokers that are not up are waited for, with a word about it.
func TestKafkaIsWaitedFor(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 1)
	pl := newPipeline([]string{"127.0.0.1:1"}, a.stream("items", byPage))
	r := start(t, pl, "one", testConfig())
	testkit.Eventually(t, patience, testkit.That("health says so", func() bool { return strings.Contains(r.Health.Waiting()["ingest"], "Kafka: ") }))
	r.stop()
}

func TestNewRefuses(t *testing.T) {
	good := (&api{Server: nil}).plain()
	for name, spoil := range map[string]func(p *pipeline.Pipeline, c *ingest.Config, e *stage.Env){
		"no stream": func(_ *pipeline.Pipeline, _ *ingest.Config, e *stage.Env) { e.Streams = []string{"nothing"} },
		"start": func(p *pipeline.Pipeline, _ *ingest.Config, _ *stage.Env) {
			p.Streams[0].Ingest.Incremental = &pipeline.Incremental{Field: "u", Start: "yesterday", Format: "rfc3339"}
		},
		"base_url": func(p *pipeline.Pipeline, _ *ingest.Config, _ *stage.Env) {
			p.Streams[0].Ingest.HTTP.BaseURL = "ftp://user:secret@x"
		},
		"there twice": func(p *pipeline.Pipeline, _ *ingest.Config, _ *stage.Env) {
			p.Streams[0].Ingest.Slices = &pipeline.Slices{Name: "s", Values: []string{"a", "a"}}
		},
		"CommitInterval: ": func(_ *pipeline.Pipeline, c *ingest.Config, _ *stage.Env) { c.CommitInterval = 0 },
		"Drain: ":          func(_ *pipeline.Pipeline, c *ingest.Config, _ *stage.Env) { c.Drain = -1 },
	} {
		p := newPipeline(nil, good)
		c := ingest.DefaultConfig()
		e := stage.Env{Metrics: prometheus.NewRegistry(), Kafka: []kgo.Opt{}}
		spoil(p, &c, &e)
		_, err := ingest.New(p, c, e)
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func (a *api) plain() pipeline.Stream {
	return pipeline.Stream{Name: "items", Ingest: pipeline.Ingest{HTTP: pipeline.HTTP{BaseURL: "http://api.test"}, Key: []string{"id"}}}
}

// TestSliceValuesAreEscaped looks at the URLs of slices with awkward names.
func TestSliceValuesAreEscaped(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 1)
	var mu sync.Mutex
	got := map[string]bool{}
	a.intercept(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		got[r.URL.EscapedPath()+" "+r.URL.Query().Get("region")] = true
		_, _ = io.WriteString(w, `{"data":[]}`)
		return true
	})
	c := testkafka.New(t)
	s := a.stream("items", pipeline.Paginate{})
	s.Ingest.Path = "/in/{region}/items?x={region}"
	s.Ingest.Query["region"] = []string{"<{region}>"}
	values := []string{"a/b", "c d", "é?&#"}
	s.Ingest.Slices = &pipeline.Slices{Name: "region", Values: values}
	r := start(t, newPipeline(c.ListenAddrs(), s), "one", testConfig())
	r.awaitPass(t)
	r.stop()
	want := map[string]bool{}
	for _, v := range values {
		want["/in/"+url.PathEscape(v)+"/items <"+v+">"] = true
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func Example() {
	p := &pipeline.Pipeline{Name: "shop", Streams: []pipeline.Stream{{Name: "orders", Ingest: pipeline.Ingest{
		HTTP: pipeline.HTTP{BaseURL: "https://api.example.com"}, Path: "/orders", Key: []string{"id"},
	}}}}
	in, err := ingest.New(p, ingest.DefaultConfig(), stage.Env{
		Instance: "host-0", Kafka: []kgo.Opt{kgo.SeedBrokers("localhost:9092")}, Metrics: prometheus.NewRegistry(), Health: &stage.Health{},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	run := func(ctx context.Context) error { return in.Run(ctx) } // until ctx ends
	_ = run
	fmt.Println("ready to run")
	// Output: ready to run
}
