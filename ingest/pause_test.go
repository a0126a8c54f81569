package ingest_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/topics/control"
)

// decide changes what is decided about the stream items.
func decide(t *testing.T, brokers []string, f func(*control.Stream)) {
	t.Helper()
	cfg := control.Config{Pipeline: "shop", Who: "test", Client: []kgo.Opt{kgo.SeedBrokers(brokers...)}}
	if _, err := control.Change(t.Context(), cfg, "items", func(s *control.Stream) error { f(s); return nil }); err != nil {
		t.Fatal(err)
	}
}

func pause(stage string) func(*control.Stream) {
	return func(s *control.Stream) {
		s.Paused = map[string]control.Pause{stage: {At: time.Now(), By: "op@host", Why: "ids migrate"}}
	}
}

func resume(s *control.Stream) { s.Paused = nil }

// TestAPausedStreamAsksNothing: in the middle of a pass it stops, with what it has committed; it stays so in another
// process; and when it is resumed the pass goes on where it was. Another stream goes on meanwhile, and a pause of
// another stage means nothing here.
func TestAPausedStreamAsksNothing(t *testing.T) {
	t.Parallel()
	a, other := newAPI(t, 95), newAPI(t, 5)
	var asked atomic.Int64
	reached, paused := make(chan struct{}), make(chan struct{})
	a.intercept(func(n int, _ http.ResponseWriter, r *http.Request) bool {
		if asked.Add(1) == 4 {
			close(reached)
			select {
			case <-r.Context().Done(): // the request in flight is given up
			case <-paused:
			}
		}
		return false
	})
	c := testkafka.New(t)
	busy := other.stream("busy", byPage)
	busy.Ingest.Every = 20 * time.Millisecond
	p := newPipeline(c.ListenAddrs(), a.stream("items", byCursor), busy)
	r := start(t, p, "one", testConfig())
	<-reached
	decide(t, c.ListenAddrs(), pause("sink"))
	decide(t, c.ListenAddrs(), pause("ingest"))
	told := func(r *process) func() bool {
		return func() bool {
			return strings.Contains(r.Health.Degraded()["ingest items"], "by op@host: ids migrate; `millrace resume FILE items`") &&
				r.metric(t, "millrace_ingest_notices") == 1
		}
	}
	testkit.Eventually(t, patience, testkit.That("the pause is told", told(r)))
	close(paused)
	passes := r.metric(t, "millrace_ingest_passes_total")
	testkit.Eventually(t, patience, testkit.That("the other stream continues", func() bool {
		return r.metric(t, "millrace_ingest_passes_total") > passes+3
	}))
	if w := r.Health.Waiting(); len(w) > 0 {
		t.Errorf("waits for %v", w)
	}
	r.stop()
	before := asked.Load()
	r = start(t, p, "two", testConfig())
	testkit.Eventually(t, patience, testkit.That("the pause is told by the next process", told(r)))
	testkit.Eventually(t, patience, testkit.That("its other stream works", func() bool {
		return r.metric(t, "millrace_ingest_passes_total") > 3
	}))
	if n := asked.Load(); n != before || n > 5 {
		t.Errorf("%d requests, then %d", before, n)
	}
	decide(t, c.ListenAddrs(), resume)
	r.awaitPass(t)
	if d := r.Health.Degraded()["ingest items"]; d != "" {
		t.Errorf("still degraded: %s", d)
	}
	r.stop()
	a.once(t, c.ListenAddrs())
}
