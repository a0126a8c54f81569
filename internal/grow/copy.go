package grow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// What one transaction of a copy holds, at most.
const (
	copyRecords = 5000
	copyBytes   = 16 << 20
	copyTimeout = time.Minute
)

// copier writes raw records again, in transactions.
type copier struct {
	topic    string
	to       int32
	producer *kgo.Client
	failed   atomic.Pointer[error] // the first that a record met
	open     bool
	records  int
	bytes    int
	all      int64
}

// copy writes the raw records of a stream again that are not yet, in their order. It returns how many.
func (g *grower) copy(ctx context.Context, s *pipeline.Stream) (int64, error) {
	c := &copier{topic: topics.Raw(g.Pipeline.Name, s.Name), to: g.To}
	var err error
	c.producer, err = kgo.NewClient(append(slices.Clone(g.Control.Client), kgo.TransactionalID(topics.GrowTransactionalID(g.Pipeline.Name)),
		kgo.TransactionTimeout(copyTimeout), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(g.Pipeline.Kafka.MaxRecordBytes+wasBytes), kgo.MaxBufferedBytes(2*copyBytes+2*int(g.Pipeline.Kafka.MaxRecordBytes)))...)
	if err != nil {
		return 0, err
	}
	defer c.producer.Close()
	// From here on whoever wrote before, and was held up, cannot commit any more.
	if _, _, err := c.producer.ProducerID(ctx); err != nil {
		return 0, fmt.Errorf("initialise the producer: %w", err)
	}
	ends, err := g.ends(ctx, c.topic, g.To)
	if err != nil {
		return 0, err
	}
	done := map[int32]int64{}
	if err := g.written(ctx, s, ends, func(r *kgo.Record, partition int32, offset int64) {
		done[partition] = max(done[partition], offset+1)
	}); err != nil {
		return 0, err
	}
	ranges := map[int32]admin.Range{}
	for n, end := range g.grow(s.Name).First {
		ranges[n] = admin.Range{From: done[n], To: end}
	}
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	err = admin.ReadRanges(reading, g.Control.Client, c.topic, ranges, func(r *kgo.Record) {
		if err := c.write(ctx, r); err != nil {
			stop(err)
		}
	})
	if cause := context.Cause(reading); cause != nil && ctx.Err() == nil {
		err = cause
	}
	if err != nil {
		c.abort(ctx)
		return c.all, err
	}
	return c.all, c.commit(ctx)
}

// write writes a record where its key belongs. After an error nothing more is written.
func (c *copier) write(ctx context.Context, r *kgo.Record) error {
	if err := c.err(); err != nil {
		return err
	}
	if !c.open {
		if err := c.producer.BeginTransaction(); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		c.open, c.records, c.bytes = true, 0, 0
	}
	again := &kgo.Record{Topic: c.topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp, Headers: moved(r)}
	if r.Key != nil {
		again.Partition = topics.Partition(r.Key, c.to)
	}
	c.producer.Produce(ctx, again, func(_ *kgo.Record, err error) {
		if err != nil {
			c.failed.CompareAndSwap(nil, &err)
		}
	})
	c.records++
	c.bytes += len(r.Key) + len(r.Value)
	if c.records < copyRecords && c.bytes < copyBytes {
		return nil
	}
	return c.commit(ctx)
}

// err is the first error that a record has met so far. It does not wait for those that are on their way.
func (c *copier) err() error {
	if err := c.failed.Load(); err != nil {
		return fmt.Errorf("produce: %w", *err)
	}
	return nil
}

// moved are the headers of a record, with where it was.
func moved(r *kgo.Record) []kgo.RecordHeader {
	headers := make([]kgo.RecordHeader, 0, len(r.Headers)+1)
	for _, h := range r.Headers {
		if h.Key != topics.HeaderWas {
			headers = append(headers, h)
		}
	}
	return append(headers, kgo.RecordHeader{Key: topics.HeaderWas, Value: fmt.Appendf(nil, "%d:%d", r.Partition, r.Offset)})
}

func (c *copier) commit(ctx context.Context) error {
	if !c.open {
		return nil
	}
	if err := c.producer.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	if err := c.err(); err != nil {
		return err
	}
	if err := c.producer.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("commit: %w", err) // whoever goes on finds whether it was
	}
	c.open = false
	c.all += int64(c.records)
	return nil
}

// abort ends what is open. An error of it says nothing more: the brokers abort it in time, or whoever goes on does.
func (c *copier) abort(ctx context.Context) {
	if c.open {
		_ = c.producer.AbortBufferedRecords(ctx)
		_ = c.producer.EndTransaction(ctx, kgo.TryAbort)
		c.open = false
	}
}

// written calls f for each raw record of a stream below ends that was written again, with where it was.
func (g *grower) written(ctx context.Context, s *pipeline.Stream, ends map[int32]int64, f func(r *kgo.Record, partition int32, offset int64)) error {
	ranges := map[int32]admin.Range{}
	for n, end := range ends {
		ranges[n] = admin.Range{From: g.grow(s.Name).First[n], To: end}
	}
	var failed error
	err := admin.ReadRanges(ctx, g.Control.Client, topics.Raw(g.Pipeline.Name, s.Name), ranges, func(r *kgo.Record) {
		was, ok := topics.Header(r, topics.HeaderWas)
		partition, offset, found := strings.Cut(string(was), ":")
		n, err1 := strconv.ParseInt(partition, 10, 32)
		at, err2 := strconv.ParseInt(offset, 10, 64)
		if !ok || !found || errors.Join(err1, err2) != nil {
			failed = fmt.Errorf("%s[%d]@%d: it was written by another program while the topic was given more partitions, by the number of before or "+
				"by the new one: stop that program; what is to become of the record needs an operator", r.Topic, r.Partition, r.Offset)
			return
		}
		f(r, int32(n), at)
	})
	return errors.Join(err, failed)
}
