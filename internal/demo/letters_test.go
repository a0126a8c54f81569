package demo_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/demo"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/topics"
)

// TestLetters: letters of committed transactions, each once, and no waiting for those of aborted ones.
func TestLetters(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := testkafka.New(t)
	testkafka.Topics(t, c, 3, "quakes.dlq")
	cl := testkafka.Client(t, c, kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	send := func(how kgo.TransactionEndTry, partition int32, offset int64, reason string) {
		t.Helper()
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		origin := &kgo.Record{Partition: partition, Key: fmt.Appendf(nil, "ci%d", partition), Value: []byte("{}")}
		l := topics.Letter{Stage: "sink", Step: "sink.columns.place", Reason: reason, Generation: 1}
		if err := cl.ProduceSync(ctx, l.Record("quakes.dlq", topics.LetterID("sink", "quakes.processed", 0, partition, offset), origin)).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(ctx, how); err != nil {
			t.Fatal(err)
		}
	}
	send(kgo.TryCommit, 0, 7, "null")
	send(kgo.TryCommit, 0, 7, "null")
	send(kgo.TryAbort, 1, 8, "never happened")
	send(kgo.TryCommit, 2, 9, "too long")
	got, err := demo.Letters(ctx, []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, "quakes.dlq")
	if err != nil {
		t.Fatal(err)
	}
	want := []demo.Letter{{"sink", "ci0", "sink.columns.place", "null"}, {"sink", "ci2", "sink.columns.place", "too long"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
