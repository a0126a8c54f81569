package testkit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Read calls f for every record of a topic that a read_committed reader gets, up to the high watermarks at the time of the
// call; in the order of each partition. It waits for open transactions below them. The end of a partition is found by
// position: markers that end transactions count, and are not given to f.
func Read(ctx context.Context, brokers []string, topic string, f func(*kgo.Record)) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("read %s: %w", topic, err)
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("read %s: %w", topic, err)
	}
	if err := ends.Error(); err != nil {
		return fmt.Errorf("read %s: %w", topic, err)
	}
	at := map[string]map[int32]kgo.Offset{topic: {}}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if start, _ := starts.Lookup(topic, o.Partition); o.Offset > start.Offset {
			at[topic][o.Partition] = kgo.NewOffset().AtStart()
			left[o.Partition] = o.Offset
		}
	})
	reader, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumePartitions(at),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer reader.Close()
	for len(left) > 0 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %s: %w; still to come, by partition, up to: %v", topic, err, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end, ok := left[r.Partition]
			if ok && r.Offset >= end-1 {
				delete(left, r.Partition)
			}
			if ok && r.Offset < end && !r.Attrs.IsControl() {
				f(r)
			}
		})
	}
	return nil
}

// Records returns what [Read] gets of the topics within a minute, in the order of topics, partitions and offsets.
func Records(t testing.TB, brokers []string, topics ...string) []*kgo.Record {
	t.Helper()
	out, err := records(t, brokers, topics)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Await returns what [Records] does as soon as there are at least n. The topics need not exist before.
func Await(t testing.TB, brokers []string, n int, topics ...string) (out []*kgo.Record) {
	t.Helper()
	Eventually(t, time.Minute, func() (err error) {
		if out, err = records(t, brokers, topics); err == nil && len(out) < n {
			err = fmt.Errorf("%d of %d records in %v", len(out), n, topics)
		}
		return err
	})
	return out
}

func records(t testing.TB, brokers, topics []string) ([]*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	var out []*kgo.Record
	for _, topic := range topics {
		from := len(out)
		if err := Read(ctx, brokers, topic, func(r *kgo.Record) { out = append(out, r) }); err != nil {
			return nil, err
		}
		slices.SortStableFunc(out[from:], func(a, b *kgo.Record) int { return cmp.Compare(a.Partition, b.Partition) })
	}
	return out, nil
}
