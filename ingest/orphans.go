package ingest

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// orphans are keys that children whose records were deleted have written last.
type orphans struct {
	of   map[string]*child // by name of the slice
	keys map[string]orphan
	most int // of keys, unless one child has more
}

type orphan struct {
	c         *child
	source    int64
	hasSource bool
}

const (
	mostOrphans   = 100_000 // that are looked for at once
	writtenOrphan = 5_000   // in a listing, unless one child has more
)

// see takes a record of the raw topic in, in order. A key whose newest record another slice has written is that one's.
func (o *orphans) see(r *kgo.Record) {
	h, err := topics.ParseRawHeaders(r)
	c := o.of[h.Slice]
	if err != nil || c == nil || r.Value == nil {
		delete(o.keys, string(r.Key))
		return
	}
	o.keys[string(r.Key)] = orphan{c, h.Source, h.HasSource}
	if len(o.keys) > o.most && len(o.of) > 1 {
		o.halve()
	}
}

// halve leaves half of the children for another look.
func (o *orphans) halve() {
	half := len(o.of) / 2
	for name := range o.of {
		if half == 0 {
			break
		}
		delete(o.of, name)
		half--
	}
	for key, of := range o.keys {
		if o.of[of.c.name] == nil {
			delete(o.keys, key)
		}
	}
}

// find looks in the raw topic for what the removed children have written, and makes tombstones for it: keys are not
// remembered for each child, as a deletion is rare, and one look is for all that were deleted by then. Children whose
// keys are too many to be held at once are left for another look. It is called when nothing of these children is on its
// way to the raw topic.
func (l *listing) find(ctx context.Context) error {
	found := orphans{of: map[string]*child{}, keys: map[string]orphan{}, most: mostOrphans}
	for _, c := range l.removed {
		found.of[c.name] = c
	}
	if err := admin.Read(ctx, l.feed.in.env.Kafka, l.feed.raw(), found.see); err != nil {
		return err
	}
	later := &listing{feed: l.feed}
	l.removed = slices.DeleteFunc(l.removed, func(c *child) bool {
		left := found.of[c.name] == nil
		if left {
			later.removed = append(later.removed, c)
		}
		return left
	})
	if len(later.removed) > 0 {
		l.feed.stay(later)
	}
	l.orphans = map[*child][]*kgo.Record{}
	at := time.Now()
	for key, o := range found.keys {
		h := topics.RawHeaders{
			Source: o.source, HasSource: o.hasSource, PageID: "parent." + strconv.FormatInt(l.of[o.c], 10), Ordinal: len(l.orphans[o.c]), Slice: o.c.name, Time: at,
		}
		l.orphans[o.c] = append(l.orphans[o.c], &kgo.Record{Topic: l.feed.raw(), Key: []byte(key), Headers: h.Append(nil)})
	}
	return nil
}

// pieces are listings of the removed children that a transaction can hold each.
func (l *listing) pieces() []*listing {
	var all []*listing
	n := 0
	for _, c := range l.removed {
		own := len(l.orphans[c])
		if len(all) == 0 || n > 0 && n+own > writtenOrphan {
			all, n = append(all, &listing{feed: l.feed, of: l.of, orphans: map[*child][]*kgo.Record{}}), 0
		}
		piece := all[len(all)-1]
		piece.removed = append(piece.removed, c)
		if n += own; own > 0 {
			piece.orphans[c] = l.orphans[c]
		}
	}
	return all
}

// size is how many bytes of records the tombstones of a listing make, about.
func (l *listing) size() (n int64) {
	for _, records := range l.orphans {
		for _, r := range records {
			n += int64(len(r.Key)) + headerBytes
		}
	}
	return n
}
