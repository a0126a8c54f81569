//go:build integration

package ingest_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/pipeline"
)

func TestMain(m *testing.M) { testservers.Main(m) }

// TestAbruptStopsOnKafka is [TestAbruptStops] with a real broker, where commits end after they were answered.
func TestAbruptStopsOnKafka(t *testing.T) {
	brokers := testservers.Kafka(t)
	a := newAPI(t, 600)
	a.intercept(func(int, http.ResponseWriter, *http.Request) bool {
		testkit.Pause(t.Context(), 2*time.Millisecond)
		return false
	})
	pl := newPipeline(brokers, a.stream("items", byPage), incremental(a.stream("others", byCursor), time.Hour))
	pl.Name = testservers.Unique(t)
	cfg := testConfig()
	cfg.Drain = 1
	for i := range 4 {
		requests := a.count.Load() + 1 + rand.Int64N(40)
		r := start(t, pl, fmt.Sprint("p", i), cfg)
		testkit.Eventually(t, patience, testkit.That("requests are made", func() bool { return a.count.Load() >= requests || done(r.PassesDone()) }))
		testkit.Pause(t.Context(), rand.N(20*time.Millisecond)) // the moment is random
		r.stop()
	}
	r := start(t, pl, "last", testConfig())
	r.awaitPass(t)
	r.awaitPasses(t, 2)
	r.stop()
	for _, stream := range []string{"items", "others"} {
		if d := cmp.Diff(a.wantOnce(), texts(t, brokers, pl.Name+"."+stream+".raw")); d != "" {
			t.Errorf("%s: %s", stream, d)
		}
	}
}

// TestChildrenThroughTakeOversOnKafka is [TestChildrenThroughTakeOvers] with a real broker, whose markers of
// transactions have offsets of their own.
func TestChildrenThroughTakeOversOnKafka(t *testing.T) {
	childrenThroughTakeOvers(t, testservers.Kafka(t), testservers.Unique(t))
}

// TestRefreshTokenRotatesOnKafka is [TestRefreshTokenRotates] with a real broker, which fences who claimed a credential
// before.
func TestRefreshTokenRotatesOnKafka(t *testing.T) {
	rotate(t, testservers.Kafka(t), testservers.Unique(t))
}

// TestBrokerGoesAndComesBack kills the broker while pages are fetched, and starts it again.
func TestBrokerGoesAndComesBack(t *testing.T) {
	server := testservers.NewKafka(t)
	a := newAPI(t, 2000)
	a.intercept(func(int, http.ResponseWriter, *http.Request) bool {
		testkit.Pause(t.Context(), 10*time.Millisecond)
		return false
	})
	pl := newPipeline(server.Brokers(), a.stream("items", byCursor))
	r := start(t, pl, "one", testConfig())
	for range 2 {
		committed := r.metric(t, "millrace_ingest_records_total") + 200
		testkit.Eventually(t, patience, testkit.That("records are committed", func() bool { return r.metric(t, "millrace_ingest_records_total") >= committed }))
		server.Kill(t)
		testkit.Pause(t.Context(), rand.N(3*time.Second)) // the moment is random
		server.Start(t)
	}
	select {
	case <-r.PassesDone():
	case <-time.After(2 * patience):
		t.Fatalf("no pass ended; waiting for %v; log:\n%s", r.Health.Waiting(), r.log)
	}
	testkit.Eventually(t, patience, testkit.That("it is ready", func() bool { return len(r.Health.Waiting()) == 0 }))
	r.stop()
	if d := cmp.Diff(a.wantOnce(), texts(t, server.Brokers(), "shop.items.raw")); d != "" {
		t.Error(d)
	}
	t.Log(r.log)
}

// TestFrozenProcessIsFencedOnKafka has a process frozen in its transaction until another one has done its work.
func TestFrozenProcessIsFencedOnKafka(t *testing.T) {
	brokers := testservers.Kafka(t)
	a := newAPI(t, 300)
	frozen := &lossyDialer{}
	var once sync.Once
	hold, release := make(chan struct{}), make(chan struct{})
	a.intercept(func(n int, _ http.ResponseWriter, _ *http.Request) bool {
		if n == 12 {
			once.Do(func() {
				frozen.mu.Lock()
				close(hold)
				go func() { <-release; frozen.mu.Unlock() }()
			})
		}
		return false
	})
	pl := newPipeline(brokers, a.stream("items", pipeline.Paginate{Cursor: byCursor.Cursor}))
	pl.Name = testservers.Unique(t)
	zombie := startWith(t, pl, "zombie", testConfig(), kgo.Dialer(frozen.dial))
	<-hold
	begun := time.Now()
	heir := start(t, pl, "heir", testConfig())
	heir.awaitPass(t)
	t.Logf("the other process took over and finished after %v", time.Since(begun))
	close(release)
	testkit.Eventually(t, patience, testkit.That("the zombie says that it was fenced", func() bool { return strings.Contains(zombie.log.String(), "fenced: ") }))
	heir.stop()
	testkit.Eventually(t, patience, testkit.That("the zombie joins again", func() bool {
		log := zombie.log.String()
		return strings.Contains(log[strings.Index(log, "fenced: "):], "slices=1")
	}))
	zombie.stop()
	if d := cmp.Diff(a.wantOnce(), texts(t, brokers, pl.Name+".items.raw")); d != "" {
		t.Error(d)
	}
}
