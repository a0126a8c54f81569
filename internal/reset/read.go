package reset

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// span is a range of offsets: [from, to).
type span struct{ from, to int64 }

// few is how many offsets are looked at one by one.
const few = 1000

// Behind is how far positions in a topic, by partition, are behind offsets in it: in offsets if there are many, else in records, for a position
// need not pass the marker that ends a transaction.
func Behind(ctx context.Context, cfg Config, topic string, at, to map[int32]int64) (int64, error) {
	starts, err := kadm.NewClient(cfg.Client).ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("starts of %s: %w", topic, err)
	}
	var offsets, records int64
	ranges := map[int32]span{}
	for n, end := range to {
		start, _ := starts.Lookup(topic, n)
		from := max(at[n], start.Offset)
		ranges[n] = span{from, end}
		offsets += max(0, end-from)
	}
	if offsets == 0 || offsets > few {
		return offsets, nil
	}
	err = read(ctx, cfg, topic, ranges, func(*kgo.Record) { records++ })
	return records, err
}

// read calls f for each committed record of the ranges of a topic, in the order of each partition. A range that begins below the log's
// start begins there.
func read(ctx context.Context, cfg Config, topic string, ranges map[int32]span, f func(*kgo.Record)) error {
	starts, err := kadm.NewClient(cfg.Client).ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", topic, err)
	}
	at, left := map[int32]kgo.Offset{}, map[int32]int64{}
	for n, s := range ranges {
		start, _ := starts.Lookup(topic, n)
		if from := max(s.from, start.Offset); from < s.to {
			at[n], left[n] = kgo.NewOffset().At(from), s.to
		}
	}
	if len(left) == 0 {
		return nil
	}
	client, err := kgo.NewClient(append(slices.Clone(cfg.Control.Client),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))...)
	if err != nil {
		return err
	}
	defer client.Close()
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
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
