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
	ends, err := Ends(ctx, kadm.NewClient(client), topic)
	if err != nil {
		return err
	}
	ranges := map[int32]Range{}
	for partition, end := range ends {
		ranges[partition] = Range{from[partition], end}
	}
	return ReadRanges(ctx, opts, topic, ranges, f)
}

// Range is offsets of a partition: [From, To).
type Range struct{ From, To int64 }

// ReadRanges is [Read] of these ranges, by partition. One that begins below the log's start begins there; one that ends
// above the high watermark is waited for.
func ReadRanges(ctx context.Context, opts []kgo.Opt, topic string, ranges map[int32]Range, f func(*kgo.Record)) error {
	at, left, err := within(ctx, opts, topic, ranges)
	if err != nil || len(left) == 0 {
		return err
	}
	reader, err := kgo.NewClient(append(slices.Clone(opts),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
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
		for r := range fetches.RecordsAll() {
			end, ok := left[r.Partition]
			if ok && r.Offset >= end-1 {
				delete(left, r.Partition)
			}
			if ok && r.Offset < end && !r.Attrs.IsControl() {
				f(r)
			}
		}
	}
	return nil
}

// within are where ranges begin in the log and where they end, of those that have something there.
func within(ctx context.Context, opts []kgo.Opt, topic string, ranges map[int32]Range) (at map[int32]kgo.Offset, left map[int32]int64, err error) {
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	starts, err := Starts(ctx, kadm.NewClient(client), topic)
	if err != nil {
		return nil, nil, err
	}
	at, left = map[int32]kgo.Offset{}, map[int32]int64{}
	for partition, r := range ranges {
		if from := max(r.From, starts[partition]); from < r.To {
			at[partition], left[partition] = kgo.NewOffset().At(from), r.To
		}
	}
	return at, left, nil
}
