package ingest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest/written"
	"github.com/millrace-io/millrace/internal/mutant"
	"github.com/millrace-io/millrace/topics"
)

// What the state topic holds, by key:
//
//	claim                         who claimed the partition last; written first, so that its offset says how far to read
//	<stream>/<slice>              the slice's cursor, JSON
//	<stream>/<slice> NUL <16 hex> a segment of what the slice remembers to have written
const claimKey = "claim"

// claim is the right to write a partition of the state topic, and the records of the slices that hash to it. It is
// held by whoever initialised the partition's transactional id last: the brokers refuse everybody else's
// transactions from then on.
type claim struct {
	cl        *kgo.Client
	outside   *kgo.Client // mutant only: writes cursors outside the transaction
	partition int32
	topic     string
	timeout   time.Duration // of what the brokers must answer
}

// restored is what the state topic has for the slices of a partition.
type restored struct {
	cursors  map[string][]byte            // by slice key
	segments map[string]map[uint64][]byte // by slice key and number
}

// partitioner puts records of the state topic where they say, and others where Java's default partitioner would.
type partitioner struct{ state string }

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if topic == p.state {
		return kgo.ManualPartitioner().ForTopic(topic)
	}
	return kgo.StickyKeyPartitioner(nil).ForTopic(topic)
}

// newClaim takes a partition over. First it initialises the producer, which ends any transaction of the owner before and
// lets it begin none. Then it commits a record of its own and reads the partition, committed records only, until
// it meets that record: what the owner before committed lies below it, and an open transaction of anybody in between
// would be waited for. So the state is complete, whatever compaction has left of the partition.
func (in *Ingest) newClaim(ctx context.Context, partition int32) (*claim, *restored, error) {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	c := &claim{partition: partition, topic: topics.IngestState(in.p.Name), timeout: in.cfg.TransactionTimeout}
	id := topics.IngestTransactionalID(in.p.Name, partition)
	if mutant.Off(mutant.Fencing) {
		id += "." + in.env.Instance + "." + fmt.Sprint(in.started.UnixNano())
	}
	common := append([]kgo.Opt(nil), in.env.Kafka...)
	common = append(common,
		kgo.RecordPartitioner(partitioner{c.topic}),
		kgo.ProducerBatchMaxBytes(in.p.Kafka.MaxRecordBytes),
		kgo.MaxBufferedBytes(max(bufferedBytes, 2*int(in.p.Kafka.MaxRecordBytes))),
	)
	var err error
	c.cl, err = kgo.NewClient(append(common,
		kgo.TransactionalID(id),
		kgo.TransactionTimeout(in.cfg.TransactionTimeout),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.topic: {partition: kgo.NewOffset().AtStart()}}),
	)...)
	if err != nil {
		return nil, nil, fmt.Errorf("claim of state partition %d: %w", partition, err)
	}
	r, err := c.restore(ctx, in.env.Instance)
	if err == nil && mutant.Off(mutant.CursorInTransaction) {
		c.outside, err = kgo.NewClient(common...)
	}
	if err != nil {
		c.close()
		return nil, nil, fmt.Errorf("claim of state partition %d: %w", partition, err)
	}
	return c, r, nil
}

const (
	claimTimeout  = time.Minute // then the claim begins anew, with another client
	bufferedBytes = 16 << 20    // records on their way to the brokers, per claim
)

func (c *claim) close() {
	c.cl.Close()
	if c.outside != nil {
		c.outside.Close()
	}
}

func (c *claim) restore(ctx context.Context, owner string) (*restored, error) {
	if _, _, err := c.cl.ProducerID(ctx); err != nil {
		return nil, fmt.Errorf("initialise the producer: %w", err)
	}
	if err := c.cl.BeginTransaction(); err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	mark := &kgo.Record{Topic: c.topic, Partition: c.partition, Key: []byte(claimKey), Value: []byte(owner)}
	if err := c.cl.ProduceSync(ctx, mark).FirstErr(); err != nil {
		return nil, fmt.Errorf("write the claim: %w", err)
	}
	if err := c.cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return nil, fmt.Errorf("commit the claim: %w", err)
	}
	r := &restored{cursors: map[string][]byte{}, segments: map[string]map[uint64][]byte{}}
	for at := int64(-1); at < mark.Offset; {
		fetches := c.cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("read the state up to offset %d, at %d: %w", mark.Offset, at, err)
		}
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read the state: %w", err)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			at = rec.Offset
			r.apply(string(rec.Key), rec.Value)
		})
	}
	c.cl.RemoveConsumePartitions(map[string][]int32{c.topic: {c.partition}})
	return r, nil
}

func (r *restored) apply(key string, value []byte) {
	if slice, number, ok := written.ParseSegmentKey(key); ok {
		if r.segments[slice] == nil {
			r.segments[slice] = map[uint64][]byte{}
		}
		if value == nil {
			delete(r.segments[slice], number)
		} else {
			r.segments[slice][number] = value
		}
		return
	}
	if key == claimKey || !strings.Contains(key, "/") {
		return
	}
	if value == nil {
		delete(r.cursors, key)
		return
	}
	r.cursors[key] = value
}
