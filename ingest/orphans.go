package ingest

import (
	"context"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// find looks in the raw topic for what the removed children have written, and makes tombstones for it: keys are not remembered
// for each child, as a deletion is rare, and one look is for all that were deleted by then. A key whose newest record another
// slice has written is that one's. It is called when nothing of these children is on its way to the raw topic.
func (l *listing) find(ctx context.Context) error {
	of := map[string]*child{}
	for _, c := range l.removed {
		of[c.name] = c
	}
	type orphan struct {
		c      *child
		source int64
		has    bool
		at     int32
	}
	found := map[string]orphan{}
	err := admin.Read(ctx, l.feed.in.env.Kafka, l.feed.raw(), func(r *kgo.Record) {
		h, err := topics.ParseRawHeaders(r)
		c := of[h.Slice]
		if err != nil || c == nil || r.Value == nil {
			delete(found, string(r.Key))
			return
		}
		found[string(r.Key)] = orphan{c, h.Source, h.HasSource, r.Partition}
	})
	if err != nil {
		return err
	}
	l.orphans = map[*child][]*kgo.Record{}
	at := time.Now()
	for key, o := range found {
		h := topics.RawHeaders{
			Source: o.source, HasSource: o.has, PageID: "parent." + strconv.FormatInt(o.c.want, 10), Ordinal: len(l.orphans[o.c]), Slice: o.c.name, Time: at,
		}
		l.orphans[o.c] = append(l.orphans[o.c], &kgo.Record{Topic: l.feed.raw(), Key: []byte(key), Headers: h.Append(nil)})
	}
	return nil
}
