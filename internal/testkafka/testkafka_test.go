package testkafka_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkafka"
)

func TestProduceThenConsume(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c := testkafka.New(t, kfake.NumBrokers(2))
	testkafka.Topics(t, c, 3, "a", "b")
	if got := len(c.ListenAddrs()); got != 2 {
		t.Errorf("brokers = %d, want 2: options given must win", got)
	}

	in := testkafka.Client(t, c)
	for _, topic := range []string{"a", "b"} {
		r := kgo.KeyStringRecord("k", topic)
		r.Topic = topic
		if err := in.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	out := testkafka.Client(t, c, kgo.ConsumeTopics("b"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	fetches := out.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		t.Fatal(err)
	}
	if got := fetches.Records(); len(got) != 1 || string(got[0].Value) != "b" {
		t.Errorf("records of b = %v, want one with value b", got)
	}
}
