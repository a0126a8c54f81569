package ingest

import (
	"context"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/known"
	"github.com/millrace-io/millrace/ingest/written"
	"github.com/millrace-io/millrace/internal/changelog"
	"github.com/millrace-io/millrace/topics"
)

// What the state topic holds, by key:
//
//	claim                         who claimed the partition last, see [changelog.Claim]
//	<stream>/<slice>              the slice's cursor, JSON, see [cursor.Key]
//	feed:<stream>:<partition>     how far a child stream has read its parent's raw partition, JSON, see [cursor.Feed]
//	credential:<name>             the tokens of a credential, encrypted, see [credential]
//	<stream>/<slice> NUL <16 hex> a segment of what the slice remembers to have written, see [written.SegmentKey]
//	<stream>/<slice> NUL k<key>   a raw key that is there, if complete reads tell what is gone, see [known.StateKey]

// restored is what the state topic has for the slices of a partition.
type restored struct {
	cursors   map[string][]byte            // by slice key
	segments  map[string]map[uint64][]byte // by slice key and number
	known     map[string]*known.Restored   // by slice key
	positions map[string][]byte            // of feeds, by their keys
	next      int64                        // offset up to which this is true
}

const (
	claimQuiet    = time.Minute // without getting further; then the partition is claimed again, with another client
	restores      = 4           // at a time: more would share the link until each is too slow for its client
	bufferedBytes = 16 << 20    // records on their way to the brokers, per claim
)

// claim takes a partition of the state topic over and restores into state, which goes on where a claim before was given
// up.
func (in *Ingest) claim(ctx context.Context, partition int32, state *restored) (*changelog.Changelog, error) {
	id := topics.IngestTransactionalID(in.p.Name, partition)
	return changelog.Claim(ctx, changelog.Config{
		Topic: topics.IngestState(in.p.Name), Partition: partition, TransactionalID: id,
		TransactionTimeout: in.cfg.TransactionTimeout, Owner: in.env.Instance,
		Quiet: claimQuiet, From: &state.next, Turn: in.restoring,
		Client: append(append([]kgo.Opt(nil), in.env.Kafka...),
			kgo.ProducerBatchMaxBytes(in.p.Kafka.MaxRecordBytes),
			kgo.MaxBufferedBytes(max(bufferedBytes, 2*int(in.p.Kafka.MaxRecordBytes)))),
	}, state.apply)
}

// restoring waits for one of the places to restore in.
func (in *Ingest) restoring(ctx context.Context) (done func(), err error) {
	if err := in.restores.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	return func() { in.restores.Release(1) }, nil
}

func newRestored() *restored {
	return &restored{cursors: map[string][]byte{}, segments: map[string]map[uint64][]byte{}, known: map[string]*known.Restored{}, positions: map[string][]byte{}}
}

// apply applies a record of the state topic; a nil value removes what its key names.
func (r *restored) apply(key string, value []byte) {
	if slice, raw, ok := known.ParseStateKey(key); ok {
		if r.known[slice] == nil {
			r.known[slice] = known.NewRestored()
		}
		r.known[slice].Apply(raw, value)
		return
	}
	slice, number, segment := written.ParseSegmentKey(key)
	switch {
	case segment && value == nil:
		delete(r.segments[slice], number)
	case segment:
		if r.segments[slice] == nil {
			r.segments[slice] = map[uint64][]byte{}
		}
		r.segments[slice][number] = value
	case cursor.IsFeedKey(key):
		if delete(r.positions, key); value != nil {
			r.positions[key] = value
		}
	case !strings.Contains(key, "/"):
	case value == nil:
		delete(r.cursors, key)
	default:
		r.cursors[key] = value
	}
}
