package grow

import (
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/zeebo/xxh3"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// verify compares what was written again with what it is of, of all streams. It returns where their raw topics end: all
// below that was looked at, so processing may go on there.
func (g *grower) verify(ctx context.Context) (next map[string]map[int32]int64, err error) {
	// A commit returns before its markers are written, and each of them has an offset. This waits for them.
	if err := admin.FenceID(ctx, g.Client, topics.GrowTransactionalID(g.Pipeline.Name)); err != nil {
		return nil, err
	}
	next = map[string]map[int32]int64{}
	for _, name := range g.names() {
		if next[name], err = g.ends(ctx, topics.Raw(g.Pipeline.Name, name), g.To); err != nil {
			return nil, err
		}
	}
	for i := range g.Pipeline.Streams {
		s := &g.Pipeline.Streams[i]
		if err := g.compare(ctx, s, next[s.Name]); err != nil {
			return nil, fmt.Errorf("stream %s: %w", s.Name, err)
		}
	}
	return next, nil
}

// quiet returns an error if something was written to a raw topic since it was compared. The stages write nothing
// meanwhile.
func (g *grower) quiet(ctx context.Context) error {
	for _, name := range g.names() {
		topic := topics.Raw(g.Pipeline.Name, name)
		ends, err := g.ends(ctx, topic, g.To)
		if err != nil {
			return err
		}
		for n, end := range ends {
			if next := g.grow(name).Next[n]; end != next {
				return fmt.Errorf("%s[%d] ended at offset %d when its records were compared, and ends at %d now: another program writes to it: "+
					"stop that program. Nothing more is deleted, and the stages are stopped: what becomes of the records from %d on needs an operator. "+
					"A pipeline with another name and %d partitions fetches everything again", topic, n, next, end, next, g.To)
			}
		}
	}
	return nil
}

// ends are where a topic ends, by partition, once the brokers list at least so many.
func (g *grower) ends(ctx context.Context, topic string, partitions int32) (map[int32]int64, error) {
	return complete(ctx, g.adm, topic, partitions, admin.Ends)
}

// patience is how long brokers may lack partitions that were made.
const patience = time.Minute

// complete asks for offsets of a topic until the answer has at least so many partitions: a broker that was just started
// knows fewer.
func complete(
	ctx context.Context, adm *kadm.Client, topic string, partitions int32, list func(context.Context, *kadm.Client, string) (map[int32]int64, error),
) (map[int32]int64, error) {
	return backoff.Retry(ctx, func() (map[int32]int64, error) {
		out, err := list(ctx, adm, topic)
		if err != nil {
			return nil, err
		}
		if int32(len(out)) < partitions {
			return nil, fmt.Errorf("topic %s: the brokers list %d partitions, of %d: run the command again once they know all", topic, len(out), partitions)
		}
		return out, nil
	}, backoff.WithMaxElapsedTime(patience))
}

// sum is of all records of a partition, in any order.
type sum struct {
	records int64
	hash    uint64
}

func (s *sum) add(r *kgo.Record, partition int32, offset int64) {
	h := xxh3.New()
	_, _ = fmt.Fprintf(h, "%d:%d:%d:%d:%t:", partition, offset, r.Timestamp.UnixMilli(), len(r.Key), r.Value == nil)
	_, _ = h.Write(r.Key)
	_, _ = h.Write(r.Value)
	s.records++
	s.hash += h.Sum64()
}

// compare reads what was written again, below ends, and what it is of, and returns an error if they are not the same:
// then nothing is deleted.
func (g *grower) compare(ctx context.Context, s *pipeline.Stream, ends map[int32]int64) error {
	topic := topics.Raw(g.Pipeline.Name, s.Name)
	starts, err := complete(ctx, g.adm, topic, g.To, admin.Starts)
	if err != nil {
		return err
	}
	before, after := map[int32]*sum{}, map[int32]*sum{}
	ranges := map[int32]admin.Range{}
	for n, end := range g.grow(s.Name).First {
		ranges[n] = admin.Range{From: starts[n], To: end}
		before[n], after[n] = &sum{}, &sum{}
	}
	if err := admin.ReadRanges(ctx, g.Control.Client, topic, ranges, func(r *kgo.Record) { before[r.Partition].add(r, r.Partition, r.Offset) }); err != nil {
		return err
	}
	if err := g.written(ctx, s, ends, func(r *kgo.Record, partition int32, offset int64) {
		if of := after[partition]; of != nil && offset >= starts[partition] && (r.Key == nil || r.Partition == topics.Partition(r.Key, g.To)) {
			of.add(r, partition, offset)
		}
	}); err != nil {
		return err
	}
	for n, was := range before {
		if *was != *after[n] {
			return fmt.Errorf("partition %d of %s: %d records, and %d were written again, or others: nothing was deleted; run the command again, "+
				"and if it says so again, it needs an operator", n, topic, was.records, after[n].records)
		}
	}
	return nil
}
