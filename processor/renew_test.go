package processor_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// remake deletes topics and, if again, recreates them.
func remake(t *testing.T, adm *kadm.Client, p *pipeline.Pipeline, again bool, names ...string) {
	t.Helper()
	if _, err := adm.DeleteTopics(t.Context(), names...); err != nil {
		t.Fatal(err)
	}
	if !again {
		return
	}
	testkit.Eventually(t, 2*time.Minute, func() error { return admin.Ensure(t.Context(), adm, topics.Specs(p)) })
}

// testRemade: a topic is recreated, or is only deleted, beside a running processor, which goes on with a new one: no
// stall, and few words.
func testRemade(t *testing.T, c servers, cl *kgo.Client, p *pipeline.Pipeline, topic string, again bool) {
	t.Helper()
	var log testkit.Buffer
	e := env(t, c, "a")
	e.Log = slog.New(slog.NewTextHandler(&log, nil))
	stop := run(t, p, quick(), e)
	produce(t, cl, p, load(40, p.Kafka.Partitions)...)
	settled(t, cl, p)
	remake(t, kadm.NewClient(cl), p, again, topic)
	if !again && topic == raw(p) {
		testkit.Eventually(t, 2*time.Minute, testkit.That("the topic, made again", func() bool {
			details, err := kadm.NewClient(cl).ListTopics(kadm.WithAuthorizedOps(t.Context()), topic)
			return err == nil && details[topic].Err == nil
		}))
	}
	fresh, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		// a broker may say for a while that it does not host what was just made
		kgo.UnknownTopicRetries(-1), kgo.RecordDeliveryTimeout(2*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	records := load(40, p.Kafka.Partitions)
	produce(t, fresh, p, records...)
	settled(t, fresh, p) // or not: the group's offsets of the topic of before may still be there, and be as high
	testkit.Eventually(t, 2*time.Minute, testkit.That("all outcomes", func() bool {
		n := len(testkit.Records(t, c.ListenAddrs(), processed(p), letters(p)))
		return n == 80 || n >= 40 && topic != raw(p)
	}))
	testkit.Eventually(t, 2*time.Minute, testkit.That("ready", func() bool { return len(e.Health.Waiting()) == 0 }))
	stop()
	outcomes := testkit.Records(t, c.ListenAddrs(), processed(p), letters(p))
	if len(outcomes) < 40 || topic == raw(p) && len(outcomes) != 80 { // those of before are gone with the processed topic
		t.Errorf("%d outcomes, want 80, or at least 40 if their topic was recreated", len(outcomes))
	}
	if n := strings.Count(log.String(), "the topic "+topic+" was deleted"); n != 1 {
		t.Errorf("told %d times, want once", n)
	}
	if n := strings.Count(log.String(), "\n"); n > 100 { // not one for each attempt
		t.Errorf("%d lines", n)
	}
	if t.Failed() {
		t.Logf("log:\n%s", log.String())
	}
}

func TestTopicsRecreatedWhileRunning(t *testing.T) {
	for _, again := range []bool{true, false} {
		for _, topic := range []func(*pipeline.Pipeline) string{raw, processed} {
			p := shop(2)
			t.Run(fmt.Sprintf("%s, recreated %t", topic(p), again), func(t *testing.T) {
				c, _ := cluster(t, p)
				testRemade(t, c, testkafka.Client(t, c, kgo.RecordPartitioner(kgo.ManualPartitioner())), p, topic(p), again)
			})
		}
	}
}
