package admin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/topics/admin"
)

func TestRemaining(t *testing.T) {
	c := testkafka.New(t)
	testkafka.Topics(t, c, 2, "a", "b")
	remainingSuite(t, c.ListenAddrs(), "a", "b")
}

// remainingSuite is what Remaining must count on any broker, in two topics of two partitions each, empty at first.
func remainingSuite(t *testing.T, brokers []string, a, b string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cl := newClient(t, brokers, kgo.TransactionalID("remaining-"+a), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	transact := func(topic string, partition int32, n int, end kgo.TransactionEndTry) {
		t.Helper()
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for range n {
			cl.Produce(ctx, &kgo.Record{Topic: topic, Partition: partition, Value: []byte("v")}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
		if err := cl.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(ctx, end); err != nil {
			t.Fatal(err)
		}
	}
	plain := newClient(t, brokers)
	remaining := func(from map[string]map[int32]int64) int64 {
		t.Helper()
		n, err := admin.Remaining(ctx, plain, from)
		if err != nil {
			t.Fatalf("Remaining(%v): %v", from, err)
		}
		return n
	}
	// A broker ends a transaction some time after it has said so; until then more remains.
	settled := func(what string, from map[string]map[int32]int64, atLeast, atMost int64) {
		t.Helper()
		n := remaining(from)
		for n > atMost && ctx.Err() == nil {
			n = remaining(from)
		}
		if n < atLeast || n > atMost {
			t.Errorf("%s: %d, want %d–%d", what, n, atLeast, atMost)
		}
	}
	at := func(topic string, partition int32, next int64) map[string]map[int32]int64 {
		return map[string]map[int32]int64{topic: {partition: next}}
	}

	if n := remaining(nil); n != 0 {
		t.Errorf("of nothing: %d", n)
	}
	if n := remaining(map[string]map[int32]int64{a: {0: 0, 1: -1}, b: {0: 0}}); n != 0 {
		t.Errorf("of empty partitions: %d", n)
	}
	transact(a, 0, 3, kgo.TryCommit) // 0–2, marker at 3
	transact(a, 0, 4, kgo.TryAbort)  // 4–7, marker at 8
	transact(a, 0, 2, kgo.TryCommit) // 9–10, marker at 11
	transact(a, 0, 5, kgo.TryAbort)  // 12–16, marker at 17
	transact(b, 1, 10, kgo.TryCommit)
	for next, want := range map[int64]int64{-1: 5, 0: 5, 1: 4, 2: 3, 3: 2, 5: 2, 9: 2, 10: 1, 11: 0, 12: 0, 17: 0, 18: 0} {
		settled(fmt.Sprintf("from %d", next), at(a, 0, next), want, want)
	}
	settled("of all", map[string]map[int32]int64{a: {0: 0, 1: 0}, b: {0: 0, 1: 4}}, 11, 11)

	// Many aborted records are no lag at the end, however many they are; a record after them is found.
	transact(a, 1, 3*admin.ExactRecords, kgo.TryAbort)
	settled("of aborted records alone", at(a, 1, 0), 0, 0)
	transact(a, 1, 1, kgo.TryCommit)
	settled("of one record, and its marker, after many aborted", at(a, 1, 0), 1, 2)
	transact(b, 0, 3*admin.ExactRecords, kgo.TryCommit)
	settled("of many, and their marker", at(b, 0, 0), 3*admin.ExactRecords, 3*admin.ExactRecords+1)

	// What is in an open transaction may come, and keeps back what is behind it.
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: b, Partition: 1, Value: []byte("open")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if n := remaining(at(b, 1, 9)); n != 2 {
		t.Errorf("with an open transaction: %d, want 2", n)
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	settled("after its commit", at(b, 1, 9), 2, 2)

	if _, err := admin.Remaining(ctx, plain, at(b, 1, 99)); err == nil || !strings.Contains(err.Error(), "beyond the end") {
		t.Errorf("beyond the end: %v", err)
	}
	if _, err := admin.Remaining(ctx, plain, at(b, 7, 0)); err == nil {
		t.Error("a partition that is not there has a lag")
	}
}

func newClient(t *testing.T, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...), kgo.UnknownTopicRetries(-1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}
