package ingest

import (
	"context"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest/written"
	"github.com/millrace-io/millrace/internal/changelog"
	"github.com/millrace-io/millrace/topics"
)

// What the state topic holds, by key:
//
//	claim                         who claimed the partition last, see [changelog.Claim]
//	<stream>/<slice>              the slice's cursor, JSON, see [cursor.Key]
//	<stream>/<slice> NUL <16 hex> a segment of what the slice remembers to have written, see [written.SegmentKey]

// restored is what the state topic has for the slices of a partition.
type restored struct {
	cursors  map[string][]byte            // by slice key
	segments map[string]map[uint64][]byte // by slice key and number
}

const (
	claimTimeout  = time.Minute // then the claim begins anew, with another client
	bufferedBytes = 16 << 20    // records on their way to the brokers, per claim
)

// claim takes a partition of the state topic over.
func (in *Ingest) claim(ctx context.Context, partition int32) (*changelog.Changelog, *restored, error) {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	id := topics.IngestTransactionalID(in.p.Name, partition)
	state := &restored{cursors: map[string][]byte{}, segments: map[string]map[uint64][]byte{}}
	log, err := changelog.Claim(ctx, changelog.Config{
		Topic: topics.IngestState(in.p.Name), Partition: partition, TransactionalID: id,
		TransactionTimeout: in.cfg.TransactionTimeout, Owner: in.env.Instance,
		Client: append(append([]kgo.Opt(nil), in.env.Kafka...),
			kgo.ProducerBatchMaxBytes(in.p.Kafka.MaxRecordBytes),
			kgo.MaxBufferedBytes(max(bufferedBytes, 2*int(in.p.Kafka.MaxRecordBytes)))),
	}, state.apply)
	return log, state, err
}

// apply applies a record of the state topic; a nil value removes what its key names.
func (r *restored) apply(key string, value []byte) {
	slice, number, segment := written.ParseSegmentKey(key)
	switch {
	case segment && value == nil:
		delete(r.segments[slice], number)
	case segment:
		if r.segments[slice] == nil {
			r.segments[slice] = map[uint64][]byte{}
		}
		r.segments[slice][number] = value
	case !strings.Contains(key, "/"):
	case value == nil:
		delete(r.cursors, key)
	default:
		r.cursors[key] = value
	}
}
