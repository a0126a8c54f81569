package reset

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/written"
	"github.com/millrace-io/millrace/internal/changelog"
	"github.com/millrace-io/millrace/topics"
)

// claim is a partition of ingest's state that was taken over, with what it holds of the stream.
type claim struct {
	log       *changelog.Changelog
	partition int32
	cursors   map[string]cursor.Cursor
	segments  map[string]map[uint64]bool // by slice
	feeds     map[string]cursor.Feed     // of a child stream
}

func (cfg Config) claim(ctx context.Context, partition int32) (*claim, error) {
	c := &claim{partition: partition, cursors: map[string]cursor.Cursor{}, segments: map[string]map[uint64]bool{}, feeds: map[string]cursor.Feed{}}
	for _, n := range cfg.feeds()[partition] {
		if cfg.child() {
			c.feeds[cursor.FeedKey(cfg.Stream.Name, n)] = cursor.Feed{}
		}
	}
	found := stateValues{claim: c, prefix: cfg.Stream.Name + "/", cursors: map[string][]byte{}, feeds: map[string][]byte{}}
	log, err := changelog.Claim(ctx, changelog.Config{
		Topic: topics.IngestState(cfg.Pipeline.Name), Partition: partition,
		TransactionalID:    topics.IngestTransactionalID(cfg.Pipeline.Name, partition),
		TransactionTimeout: transactionTimeout, Owner: cfg.Control.Who, Quiet: quiet,
		Client: append(slices.Clone(cfg.Control.Client), kgo.ProducerBatchMaxBytes(cfg.Pipeline.Kafka.MaxRecordBytes)),
	}, found.apply)
	if err != nil {
		return nil, err
	}
	c.log = log
	if err := c.decode(cfg, found.cursors, found.feeds); err != nil {
		log.Close()
		return nil, err
	}
	return c, nil
}

// stateValues are the newest values of the stream's keys in a partition of ingest's state.
type stateValues struct {
	claim          *claim
	prefix         string // of the keys of slices
	cursors, feeds map[string][]byte
}

// apply takes in a record of the partition, in order.
func (v *stateValues) apply(key string, value []byte) {
	c := v.claim
	slice, number, segment := written.ParseSegmentKey(key)
	_, feed := c.feeds[key]
	switch {
	case feed && value == nil:
		delete(v.feeds, key)
	case feed:
		v.feeds[key] = slices.Clone(value)
	case !strings.HasPrefix(key, v.prefix), !segment && strings.ContainsRune(key, 0):
	case !segment && value == nil:
		delete(v.cursors, key)
	case !segment:
		v.cursors[key] = slices.Clone(value)
	case value == nil:
		delete(c.segments[slice], number)
	default:
		if c.segments[slice] == nil {
			c.segments[slice] = map[uint64]bool{}
		}
		c.segments[slice][number] = true
	}
}

func (c *claim) decode(cfg Config, values, positions map[string][]byte) error {
	for key, value := range values {
		found, err := cursor.Decode(key, value)
		if err != nil {
			return err
		}
		if cfg.counts(found) {
			c.cursors[key] = found
		}
	}
	for key, value := range positions {
		var err error
		if c.feeds[key], err = cursor.DecodeFeed(key, value); err != nil {
			return err
		}
	}
	return nil
}

// replace sets the slices of the partition back, to o.Since, in one transaction, also those that were never fetched: of
// them it may be that the owner before has just begun.
func (c *claim) replace(ctx context.Context, cfg Config, pass int64, o Options) error {
	scale, err := cursor.NewScale(&cfg.Stream.Ingest)
	if err != nil {
		return err
	}
	for _, name := range cfg.Slices() {
		key := cursor.Key(cfg.Stream.Name, name)
		if _, ok := c.cursors[key]; !ok && statePartition(key) == c.partition {
			c.cursors[key] = cursor.Cursor{}
		}
	}
	tx, err := c.log.Begin()
	if err != nil {
		return err
	}
	for key, before := range c.cursors {
		oldest := before.Oldest
		for number := range c.segments[key] {
			oldest = max(oldest, number+1)
			tx.Append(ctx, written.SegmentKey(key, number), nil)
		}
		field, since := cfg.backTo(key, o)
		back := before.Back(pass, scale.Kind(), field, since, oldest)
		if o.Sweep {
			back.Known = back.Known.AfterReset(pass)
		}
		value, err := back.Encode()
		if err != nil {
			return err
		}
		tx.Append(ctx, []byte(key), value)
	}
	if err := c.replaceFeeds(ctx, tx, pass); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// backTo is the value to which a slice is set back, and the field whose value it is; nil: to the beginning.
func (cfg Config) backTo(key string, o Options) (field string, since *int64) {
	i := cfg.Stream.Ingest.Incremental
	switch {
	case strings.HasPrefix(key, cursor.Key(cfg.Stream.Name, "deleted:")): // its values are another field's
		return "", nil
	case i == nil || o.Since == nil:
		return "", o.Since
	}
	return i.Field, o.Since
}

// replaceFeeds has children that come from now on begin with passes after the reset.
func (c *claim) replaceFeeds(ctx context.Context, tx *changelog.Transaction, pass int64) error {
	for key, feed := range c.feeds {
		feed.Pass = max(feed.Pass, pass)
		value, err := feed.Encode()
		if err != nil {
			return err
		}
		tx.Append(ctx, []byte(key), value)
	}
	return nil
}
