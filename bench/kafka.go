package main

import (
	"context"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

const stream = "flights"

// fill makes the topics of the pipeline and produces records from to to-1 of the workload to its raw topic, as ingest
// would.
func fill(ctx context.Context, p *pipeline.Pipeline, w *flights, from, to int) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(p.Kafka.Brokers...),
		kgo.DefaultProduceTopic(topics.Raw(p.Name, stream)),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := admin.Ensure(ctx, kadm.NewClient(client), topics.Specs(p)); err != nil {
		return err
	}
	var failed error
	now := time.Now()
	for i := from; i < to; i++ {
		j := i % w.records
		h := topics.RawHeaders{PageID: strconv.Itoa(j / 500), Ordinal: j % 500, Time: now, URL: "http://127.0.0.1/flights"}
		client.Produce(ctx, &kgo.Record{Key: w.appendKey(nil, j), Value: w.appendRecord(nil, j), Headers: h.Append(nil)},
			func(_ *kgo.Record, err error) {
				if err != nil {
					failed = err // promises are called one at a time
				}
			})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	return failed
}

// committed returns the sum of a group's committed offsets in one topic: how many records it has handled,
// for a topic without commit markers.
func committed(adm *kadm.Client, group, topic string) func(context.Context) (int64, error) {
	return func(ctx context.Context) (int64, error) {
		offsets, err := adm.FetchOffsetsForTopics(ctx, group, topic)
		if err != nil {
			return 0, err
		}
		var sum int64
		offsets.Each(func(o kadm.OffsetResponse) { sum += max(o.At, 0) })
		return sum, nil
	}
}

// written returns the sum of a topic's end offsets.
func written(adm *kadm.Client, topic string) func(context.Context) (int64, error) {
	return func(ctx context.Context) (int64, error) {
		ends, err := adm.ListEndOffsets(ctx, topic)
		if err != nil {
			return 0, err
		}
		var sum int64
		ends.Each(func(o kadm.ListedOffset) { sum += max(o.Offset, 0) })
		return sum, ends.Error()
	}
}

// recordShare returns how many of a topic's offsets are records, from 0 to 1: the others are markers that transactions
// have ended with, many where these are small.
func recordShare(ctx context.Context, brokers []string, adm *kadm.Client, topic string) (float64, error) {
	end, err := written(adm, topic)(ctx)
	if err != nil || end == 0 {
		return 1, err
	}
	offsets, err := adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return 1, err
	}
	left := offsets.KOffsets()[topic]
	at := map[string]map[int32]kgo.Offset{topic: {}}
	for p, o := range left {
		if o.EpochOffset().Offset > 0 {
			at[topic][p] = kgo.NewOffset().AtStart()
		}
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumePartitions(at), kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return 1, err
	}
	defer c.Close()
	records := 0
	for waiting := len(at[topic]); waiting > 0; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return 1, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				records++
			}
			if r.Offset == left[r.Partition].EpochOffset().Offset-1 {
				waiting--
			}
		})
	}
	return float64(records) / float64(end), nil
}

// lastData returns the sum, over the partitions of a topic, of the offset after the last record that a
// read_committed reader gets: where a reader of the topic stands when it has read everything.
func lastData(ctx context.Context, brokers []string, adm *kadm.Client, topic string) (int64, error) {
	ends, err := adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	last := map[int32]int64{}
	at := map[string]map[int32]kgo.Offset{topic: {}}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			// There are fewer markers than this after the last record.
			at[topic][o.Partition] = kgo.NewOffset().At(max(o.Offset-100, 0))
		}
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumePartitions(at), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	for {
		idle, cancel := context.WithTimeout(ctx, 2*time.Second)
		fetches := client.PollFetches(idle)
		cancel()
		if fetches.NumRecords() == 0 {
			break
		}
		fetches.EachRecord(func(r *kgo.Record) { last[r.Partition] = r.Offset + 1 })
	}
	var sum int64
	for _, next := range last {
		sum += next
	}
	return sum, ctx.Err()
}
