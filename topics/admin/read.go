package admin

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Read calls f for every record of a topic that a read_committed reader gets, up to the high watermarks at the time of
// the call; in the order of each partition. It waits for open transactions below them. The end of a partition is found
// by position: markers that end transactions count, and are not given to f. opts say how to reach the brokers. f is
// called from one goroutine. The error is the brokers', or ctx's.
func Read(ctx context.Context, opts []kgo.Opt, topic string, f func(*kgo.Record)) error {
	return ReadFrom(ctx, opts, topic, nil, f)
}

// ReadFrom is [Read] from these offsets on, by partition; one that is not there is read from its start.
func ReadFrom(ctx context.Context, opts []kgo.Opt, topic string, from map[int32]int64, f func(*kgo.Record)) error {
	client, err := kgo.NewClient(opts...)
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
		start, _ := starts.Lookup(topic, o.Partition)
		if begin := max(start.Offset, from[o.Partition]); o.Offset > begin {
			at[topic][o.Partition] = kgo.NewOffset().At(begin)
			left[o.Partition] = o.Offset
		}
	})
	reader, err := kgo.NewClient(append(slices.Clone(opts), kgo.ConsumePartitions(at),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))...)
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
