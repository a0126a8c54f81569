package changelog

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ClaimKey is the key of the records that claims write: the state must not use it.
const ClaimKey = "claim"

// Config says which partition is claimed, and how.
type Config struct {
	Topic              string
	Partition          int32
	TransactionalID    string        // of this partition alone, and the same for all who may claim it
	TransactionTimeout time.Duration // a transaction open for so long is aborted by the brokers
	Owner              string        // who claims, for people who look into the topic
	Client             []kgo.Opt     // how to reach the brokers, and limits of the producer
}

// Changelog is a claimed partition. One goroutine may use it at a time. It must be closed.
type Changelog struct {
	cfg Config
	cl  *kgo.Client
}

// Claim takes a partition over, and calls restore for each record that was committed to it and that compaction has
// left, in order; a nil value removes its key. Its errors are a [*FencedError], if another claim came after this one,
// and what the brokers answered; then restore may have been called for some of the state. It waits until ctx ends for
// brokers that do not answer.
func Claim(ctx context.Context, cfg Config, restore func(key string, value []byte)) (*Changelog, error) {
	cl, err := kgo.NewClient(append(slices.Clone(cfg.Client),
		kgo.RecordPartitioner(partitioner{cfg.Topic}),
		kgo.TransactionalID(cfg.TransactionalID),
		kgo.TransactionTimeout(cfg.TransactionTimeout),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{cfg.Topic: {cfg.Partition: kgo.NewOffset().AtStart()}}),
	)...)
	if err != nil {
		return nil, fmt.Errorf("claim %s[%d]: %w", cfg.Topic, cfg.Partition, err)
	}
	c := &Changelog{cfg: cfg, cl: cl}
	if err := c.claim(ctx, restore); err != nil {
		cl.Close()
		return nil, c.failed("claim", err)
	}
	return c, nil
}

// Close gives back the connections. What is not committed is aborted by whoever claims the partition next.
func (c *Changelog) Close() { c.cl.Close() }

// claim fences the owner before, then commits a record of its own. That lies above the high watermark of the moment, so
// what the owner before committed lies below it, and an open transaction of anybody in between would be waited for:
// whoever has read up to it has the whole state. The last record that was there would not do as an end: it may be a
// control record, or one that compaction removes.
func (c *Changelog) claim(ctx context.Context, restore func(key string, value []byte)) error {
	if _, _, err := c.cl.ProducerID(ctx); err != nil { // the client would initialise it with the first record only
		return fmt.Errorf("initialise the producer: %w", err)
	}
	if err := c.cl.BeginTransaction(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	mark := &kgo.Record{Topic: c.cfg.Topic, Partition: c.cfg.Partition, Key: []byte(ClaimKey), Value: []byte(c.cfg.Owner)}
	if err := c.cl.ProduceSync(ctx, mark).FirstErr(); err != nil {
		return fmt.Errorf("write the claim: %w", err)
	}
	if err := c.cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("commit the claim: %w", err)
	}
	return c.restore(ctx, mark.Offset, restore)
}

// restore reads the partition up to the offset end.
func (c *Changelog) restore(ctx context.Context, end int64, restore func(key string, value []byte)) error {
	for at := int64(-1); at < end; {
		fetches := c.cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("read the state up to offset %d, at %d: %w", end, at, err)
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read the state: %w", err)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			at = rec.Offset
			if string(rec.Key) != ClaimKey {
				restore(string(rec.Key), rec.Value)
			}
		})
	}
	c.cl.RemoveConsumePartitions(map[string][]int32{c.cfg.Topic: {c.cfg.Partition}})
	return nil
}

// partitioner puts records of the state's topic where they say, and others where Java's default partitioner would.
type partitioner struct{ state string }

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if topic == p.state {
		return kgo.ManualPartitioner().ForTopic(topic)
	}
	return kgo.StickyKeyPartitioner(nil).ForTopic(topic)
}
