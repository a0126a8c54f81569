package ingest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// TestTopicsMadeAnewWhileRunning: ingest goes on, with few words, when a topic is deleted, or made anew, beside it. Without
// its cursors it fetches everything again.
func TestTopicsMadeAnewWhileRunning(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{true, false} {
		for _, topic := range []string{"shop.items.raw", "shop.ingest.state"} {
			t.Run(fmt.Sprintf("%s, made anew %t", topic, again), func(t *testing.T) {
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
				if topic == "shop.ingest.state" {
					testkit.Eventually(t, patience, testkit.That("everything, fetched again", func() bool {
						return len(texts(t, c.ListenAddrs(), "shop.items.raw")["3"]) == 2
					}))
				}
				r.stop()
				if n := strings.Count(r.log.String(), "\n"); n > 25 || told() != 1 {
					t.Errorf("%d lines, told %d times:\n%s", n, told(), r.log)
				}
			})
		}
	}
}
