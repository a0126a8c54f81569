package ingest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// TestTopicsRecreatedWhileRunning: ingest goes on, with few words, when a topic is deleted, or recreated, beside it.
// Without its cursors it fetches everything again.
func TestTopicsRecreatedWhileRunning(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{true, false} {
		for _, topic := range []string{"shop.items.raw", "shop.ingest.state"} {
			t.Run(fmt.Sprintf("%s, recreated %t", topic, again), func(t *testing.T) {
				t.Parallel()
				a := newAPI(t, 30)
				c := testkafka.New(t)
				s := a.stream("items", byCursor)
				s.Ingest.Every = 100 * time.Millisecond
				p := newPipeline(c.ListenAddrs(), s)
				r := start(t, p, "one", testConfig())
				r.awaitPass(t)
				adm := kadm.NewClient(testkafka.Client(t, c))
				if _, err := adm.DeleteTopics(t.Context(), topic); err != nil {
					t.Fatal(err)
				}
				if again {
					testkit.Eventually(t, patience, func() error { return admin.Ensure(t.Context(), adm, topics.Specs(p)) })
				}
				a.update(7, "later", time.Now())
				testkit.Eventually(t, 2*patience, testkit.That("the revision in the raw topic", func() bool {
					if details, err := adm.ListTopics(t.Context(), "shop.items.raw"); err != nil || details["shop.items.raw"].Err != nil {
						return false
					}
					return strings.Contains(fmt.Sprint(texts(t, c.ListenAddrs(), "shop.items.raw")["7"]), "later")
				}))
				told := func() int { return strings.Count(r.log.String(), "the topic "+topic+" was deleted") }
				testkit.Eventually(t, patience, testkit.That("ready, and one line", func() bool { return len(r.Health.Waiting()) == 0 && told() == 1 }))
				want := 1 // of each item, once the topic has all
				if topic == "shop.ingest.state" {
					want = 2
				}
				testkit.Eventually(t, patience, testkit.That("everything, fetched again", func() bool {
					now := texts(t, c.ListenAddrs(), "shop.items.raw")
					return len(now) == 30 && len(now["3"]) == want
				}))
				r.stop()
				if n := strings.Count(r.log.String(), "\n"); n > 100 || told() != 1 {
					t.Errorf("%d lines, told %d times:\n%s", n, told(), r.log)
				}
			})
		}
	}
}

// TestRawTopicRecreatedBetweenTwoRuns: everything is fetched again, also after a death before the first commit; one
// warning says so. A cursor that does not say which topic it is of, as an earlier version wrote it, goes on.
func TestRawTopicRecreatedBetweenTwoRuns(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		t.Run(fmt.Sprintf("topic known %t", known), func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, 30)
			c := testkafka.New(t)
			s := a.stream("items", byCursor)
			s.Ingest.Every = 50 * time.Millisecond
			p := newPipeline(c.ListenAddrs(), s)
			r := start(t, p, "one", testConfig())
			r.awaitPass(t)
			r.stop()
			cl := testkafka.Client(t, c)
			if !known {
				forgetRawTopic(t, c.ListenAddrs(), cl)
			}
			adm := kadm.NewClient(cl)
			if _, err := adm.DeleteTopics(t.Context(), "shop.items.raw"); err != nil {
				t.Fatal(err)
			}
			var failed atomic.Int64
			a.mu.Lock()
			a.before = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
				failed.Add(1)
				http.Error(w, "away", http.StatusServiceUnavailable)
				return true
			}
			a.mu.Unlock()
			died := start(t, p, "one", testConfig())
			testkit.Eventually(t, patience, testkit.That("a request", func() bool { return failed.Load() > 0 }))
			died.stop()
			a.mu.Lock()
			a.before = nil
			a.mu.Unlock()
			a.update(7, "later", time.Now())
			two := start(t, p, "one", testConfig())
			testkit.Eventually(t, patience, testkit.That("the revision in the raw topic", func() bool {
				return len(texts(t, c.ListenAddrs(), "shop.items.raw")["7"]) == 1
			}))
			want, told := 30, 1
			if !known {
				want, told = 1, 0
			}
			testkit.Eventually(t, patience, testkit.That("what is fetched again", func() bool {
				return len(texts(t, c.ListenAddrs(), "shop.items.raw")) == want
			}))
			two.awaitPass(t)
			two.stop()
			if n := strings.Count(two.log.String(), "everything is fetched again"); n != told {
				t.Errorf("told %d times, want %d:\n%s", n, told, two.log)
			}
			three := start(t, p, "one", testConfig()) // the topic is known now
			three.awaitPass(t)
			three.stop()
			if now := texts(t, c.ListenAddrs(), "shop.items.raw"); len(now) != want || len(now["7"]) != 1 || strings.Contains(three.log.String(), "fetched again") {
				t.Errorf("%d keys, of 7: %v\n%s", len(now), now["7"], three.log)
			}
		})
	}
}

// forgetRawTopic has the cursors in the state topic say nothing of a raw topic.
func forgetRawTopic(t *testing.T, brokers []string, cl *kgo.Client) {
	t.Helper()
	newest := map[string]*kgo.Record{}
	for _, r := range testkit.Records(t, brokers, "shop.ingest.state") {
		if string(r.Key) == "items/" {
			newest[string(r.Key)] = r
		}
	}
	for key, r := range newest {
		var c map[string]any
		if err := json.Unmarshal(r.Value, &c); err != nil || c["raw"] == nil {
			t.Fatalf("cursor %s: %v", r.Value, err)
		}
		delete(c, "raw")
		value, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		out := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: []byte(key), Value: value}
		if err := cl.ProduceSync(t.Context(), out).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}
