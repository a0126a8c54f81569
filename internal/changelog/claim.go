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
	Quiet              time.Duration // a claim that gets no further for so long is given up
	// From is the offset to restore from; the restore moves it on. A claim that is made after one that was given up
	// goes on where that was, if it restores into the same state.
	From *int64 // nil: from the beginning
	// Turn waits for the turn to restore, if many claims share a link; the restore calls done at its end. It may be
	// nil.
	Turn   func(ctx context.Context) (done func(), err error)
	Client []kgo.Opt // how to reach the brokers, and limits of the producer
}

// Changelog is a claimed partition. One goroutine may use it at a time. It must be closed.
type Changelog struct {
	cfg Config
	cl  *kgo.Client
}

// Claim takes a partition over, and calls restore for each record that was committed to it and that compaction has
// left, in order; a nil value removes its key. Its errors are a [*FencedError], if another claim came after this one,
// and what the brokers answered; then restore has been called for what is before Config.From. It goes on as long as it
// gets further: for brokers that do not answer it waits for Config.Quiet.
func Claim(ctx context.Context, cfg Config, restore func(key string, value []byte)) (*Changelog, error) {
	cl, err := kgo.NewClient(append(slices.Clone(cfg.Client),
		kgo.RecordPartitioner(partitioner{cfg.Topic}),
		kgo.TransactionalID(cfg.TransactionalID),
		kgo.TransactionTimeout(cfg.TransactionTimeout),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(fetchBytes),
		kgo.FetchMaxPartitionBytes(fetchBytes),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.KeepControlRecords(), // so that a position behind them is known
	)...)
	if err != nil {
		return nil, fmt.Errorf("claim %s[%d]: %w", cfg.Topic, cfg.Partition, err)
	}
	if cfg.From == nil {
		cfg.From = new(int64)
	}
	c := &Changelog{cfg: cfg, cl: cl}
	if err := c.claim(ctx, restore); err != nil {
		cl.Close()
		return nil, c.failed("claim", err)
	}
	return c, nil
}

// fetchBytes is how much of the state is asked for at once: so little that it comes over a slow link before the client
// takes the broker for dead.
const fetchBytes = 256 << 10

// Close gives back the connections. What is not committed is aborted by whoever claims the partition next.
func (c *Changelog) Close() { c.cl.Close() }

// claim fences the owner before, then commits a record of its own. That lies above the high watermark of the moment, so
// what the owner before committed lies below it, and an open transaction of anybody in between would be waited for:
// whoever has read up to it has the whole state. The last record that was there would not do as an end: it may be a
// control record, or one that compaction removes.
func (c *Changelog) claim(ctx context.Context, restore func(key string, value []byte)) error {
	end, err := c.fence(ctx)
	if err != nil {
		return err
	}
	if c.cfg.Turn != nil {
		done, err := c.cfg.Turn(ctx)
		if err != nil {
			return fmt.Errorf("wait for the turn to restore: %w", err)
		}
		defer done()
	}
	return c.restore(ctx, end, restore)
}

// fence returns the offset of the claim's own record.
func (c *Changelog) fence(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Quiet)
	defer cancel()
	if _, _, err := c.cl.ProducerID(ctx); err != nil { // the client would initialise it with the first record only
		return 0, fmt.Errorf("initialise the producer: %w", err)
	}
	if err := c.cl.BeginTransaction(); err != nil {
		return 0, fmt.Errorf("begin: %w", err)
	}
	mark := &kgo.Record{Topic: c.cfg.Topic, Partition: c.cfg.Partition, Key: []byte(ClaimKey), Value: []byte(c.cfg.Owner)}
	// A client waits for a record that it has sent until the brokers answer or it is closed, whatever the record's
	// context says.
	written := make(chan error, 1) // one send, so that it never waits
	c.cl.Produce(ctx, mark, func(_ *kgo.Record, err error) { written <- err })
	var err error
	select {
	case err = <-written:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return 0, fmt.Errorf("write the claim: %w", err)
	}
	if err := c.cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return 0, fmt.Errorf("commit the claim: %w", err)
	}
	return mark.Offset, nil
}

// restore reads the partition from Config.From up to the offset end.
func (c *Changelog) restore(ctx context.Context, end int64, restore func(key string, value []byte)) error {
	from := kgo.NewOffset().AtStart()
	if *c.cfg.From > 0 {
		from = kgo.NewOffset().At(*c.cfg.From)
	}
	c.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{c.cfg.Topic: {c.cfg.Partition: from}})
	for *c.cfg.From <= end {
		if err := c.some(ctx, restore); err != nil {
			return fmt.Errorf("read the state up to offset %d, at %d: %w", end, *c.cfg.From, err)
		}
	}
	c.cl.RemoveConsumePartitions(map[string][]int32{c.cfg.Topic: {c.cfg.Partition}})
	return nil
}

// some restores what comes next.
func (c *Changelog) some(ctx context.Context, restore func(key string, value []byte)) error {
	quiet, cancel := context.WithTimeout(ctx, c.cfg.Quiet)
	defer cancel()
	fetches := c.cl.PollFetches(quiet)
	fetches.EachRecord(func(rec *kgo.Record) {
		*c.cfg.From = rec.Offset + 1
		if string(rec.Key) != ClaimKey && !rec.Attrs.IsControl() {
			restore(string(rec.Key), rec.Value)
		}
	})
	if fetches.NumRecords() > 0 {
		return nil
	}
	return fetches.Err()
}

// Consume has [Changelog.Poll] give the records of a partition of another topic, from an offset on, or from another one
// than before.
func (c *Changelog) Consume(topic string, partition int32, from int64) {
	c.cl.RemoveConsumePartitions(map[string][]int32{topic: {partition}})
	c.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}})
}

// Poll waits for records of what is consumed, as a reader of committed records gets them, with the markers that end
// transactions. One goroutine may poll while another one has a transaction.
func (c *Changelog) Poll(ctx context.Context) kgo.Fetches { return c.cl.PollFetches(ctx) }

// partitioner puts records of the state's topic where they say, and others where Java's default partitioner would.
type partitioner struct{ state string }

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if topic == p.state {
		return kgo.ManualPartitioner().ForTopic(topic)
	}
	return kgo.StickyKeyPartitioner(nil).ForTopic(topic)
}
