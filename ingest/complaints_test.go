package ingest_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
)

// What users of other tools complain of, where no other test guards against it. The table is in docs/comparison.md.

// turnedAway runs a stream over 95 records until its page of that offset is turned away with a status, stops it there,
// and returns what was asked for before, by a cursor of records.
func turnedAway(t *testing.T, status int, meanwhile func(*process)) (asked []string, a *api, p *pipeline.Pipeline, brokers []string) {
	t.Helper()
	a = newAPI(t, 95)
	a.intercept(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("cursor") != "40" {
			return false
		}
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(status)
		return true
	})
	brokers = testkafka.New(t).ListenAddrs()
	p = newPipeline(brokers, a.stream("items", byCursor))
	r := start(t, p, "one", testConfig())
	testkit.Eventually(t, patience, func() error {
		if n := r.metric(t, "millrace_ingest_pages_total"); n != 4 || len(r.Health.Waiting()) == 0 {
			return fmt.Errorf("%v pages are committed, waiting for %v", n, r.Health.Waiting())
		}
		return nil
	})
	if n := len(testkit.Records(t, brokers, "shop.items.raw")); n != 40 {
		t.Errorf("%d records are there while the API turns us away, want 40", n)
	}
	meanwhile(r)
	r.stop()
	asked = a.seen()
	a.intercept(nil)
	return asked, a, p, brokers
}

// TestRateLimitKeepsWhatWasPulled: a rate limit ends nothing. What came before it is in the raw topic while it lasts,
// and the stream says what it waits for.
//
// Guards against airbytehq/airbyte#3401.
func TestRateLimitKeepsWhatWasPulled(t *testing.T) {
	t.Parallel()
	_, a, p, brokers := turnedAway(t, http.StatusTooManyRequests, func(r *process) {
		testkit.Eventually(t, patience, func() error {
			if w := r.Health.Waiting()["ingest"]; !strings.Contains(w, "429") {
				return fmt.Errorf("it does not say that it waits for the limit: %q", w)
			}
			return nil
		})
	})
	r := start(t, p, "two", testConfig())
	r.awaitPass(t)
	r.stop()
	if d := cmp.Diff(a.wantOnce(), texts(t, brokers, "shop.items.raw")); d != "" {
		t.Error(d)
	}
}

// TestFailedPassDoesNotStartOver: the position is committed with each page, so what follows a failure asks for no page
// again.
//
// Guards against airbytehq/airbyte#2627, airbytehq/airbyte#11832.
func TestFailedPassDoesNotStartOver(t *testing.T) {
	t.Parallel()
	asked, a, p, brokers := turnedAway(t, http.StatusServiceUnavailable, func(*process) {})
	r := start(t, p, "two", testConfig())
	r.awaitPass(t)
	r.stop()
	again := a.seen()[len(asked):]
	if len(again) != 6 || !strings.Contains(again[0], "cursor=40") {
		t.Errorf("asked for after the failure: %q, want the six pages from 40 on", again)
	}
	if d := cmp.Diff(a.wantOnce(), texts(t, brokers, "shop.items.raw")); d != "" {
		t.Error(d)
	}
}

// TestPagesOfOneEndpointAreInFlightAtOnce: the API answers none of four pages before it was asked for all of them.
//
// Guards against dlt-hub/dlt#2844.
func TestPagesOfOneEndpointAreInFlightAtOnce(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 170) // a first page, which tells the total, and four times four
	var waiting atomic.Int64
	gates := []chan struct{}{make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})}
	a.intercept(func(n int, _ http.ResponseWriter, r *http.Request) bool {
		if n == 1 {
			return false
		}
		at := waiting.Add(1) - 1
		if at%4 == 3 {
			close(gates[at/4])
		}
		select {
		case <-gates[at/4]:
		case <-r.Context().Done():
		}
		return false
	})
	brokers := testkafka.New(t).ListenAddrs()
	r := start(t, newPipeline(brokers, a.stream("items", byOffset(pipeline.StopRule{When: "total", Field: []string{"meta", "total"}}))), "one", testConfig())
	r.awaitPass(t)
	r.stop()
	if d := cmp.Diff(a.wantOnce(), texts(t, brokers, "shop.items.raw")); d != "" {
		t.Error(d)
	}
}

// TestTimeoutIsTriedAgain: an answer that does not come to its end in time is asked for once more.
//
// Guards against meltano/sdk#2643.
func TestTimeoutIsTriedAgain(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 25)
	a.intercept(func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n != 2 {
			return false
		}
		_, _ = w.Write([]byte(`{"data":[`))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	})
	brokers := testkafka.New(t).ListenAddrs()
	s := a.stream("items", byCursor)
	s.Ingest.HTTP.Timeout = 2 * time.Second
	r := start(t, newPipeline(brokers, s), "one", testConfig())
	r.awaitPass(t)
	r.stop()
	if d := cmp.Diff(a.wantOnce(), texts(t, brokers, "shop.items.raw")); d != "" {
		t.Error(d)
	}
}
