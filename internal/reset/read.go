package reset

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics/admin"
)

// few is how many offsets are looked at one by one.
const few = 1000

// Behind is how far positions in a topic, by partition, are behind offsets in it: in offsets if there are many, else in
// records, for a position need not pass the marker that ends a transaction.
func Behind(ctx context.Context, cfg Config, topic string, at, to map[int32]int64) (int64, error) {
	starts, err := admin.Starts(ctx, kadm.NewClient(cfg.Client), topic)
	if err != nil {
		return 0, err
	}
	var offsets, records int64
	ranges := map[int32]admin.Range{}
	for n, end := range to {
		from := max(at[n], starts[n])
		ranges[n] = admin.Range{From: from, To: end}
		offsets += max(0, end-from)
	}
	if offsets == 0 || offsets > few {
		return offsets, nil
	}
	err = admin.ReadRanges(ctx, cfg.Control.Client, topic, ranges, func(*kgo.Record) { records++ })
	return records, err
}
