//go:build integration

package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/topics"
)

// awaitGone waits until complete reads have found all that the source has deleted: after the last change, a read of
// several pages has to be confirmed by another.
func (w *world) awaitGone(ctx context.Context, within time.Duration) error {
	return testkit.Until(ctx, within, func() error {
		for _, stream := range w.source.names {
			if !vanishes(stream) || stream == "hooks" { // of which no read tells
				continue
			}
			there := map[string]bool{}
			err := testkit.Read(ctx, w.brokers, topics.Raw(w.pipeline, stream), func(r *kgo.Record) {
				if delete(there, string(r.Key)); r.Value != nil {
					there[string(r.Key)] = true
				}
			})
			if err != nil {
				return err
			}
			for key := range w.source.newest(stream) {
				delete(there, key)
			}
			if len(there) > 0 {
				keys := slices.Sorted(maps.Keys(there))
				return fmt.Errorf("raw %s: %d records are there that the API has deleted: %q", stream, len(there), keys[:min(len(keys), 10)])
			}
		}
		return nil
	})
}

// tombstone checks a tombstone in raw, which follows all that raw has of its key so far: the API has deleted what it
// deletes.
func (c *comparison) tombstone(r *kgo.Record, stream string, before []rawRecord) (x rawRecord, ok bool) {
	key := string(r.Key)
	if stream == "hooks" {
		return c.removal(r)
	}
	deleted, was := c.source.deletedAt(stream, key)
	switch n := len(before); {
	case !vanishes(stream):
		c.wrongf("raw %s[%d]@%d: a tombstone of %s, and nothing is deleted there", stream, r.Partition, r.Offset, key)
		return x, false
	case n == 0:
		c.wrongf("raw %s[%d]@%d: a tombstone of %s, which is not there", stream, r.Partition, r.Offset, key)
		return x, false
	case before[n-1].gone:
		c.wrongf("raw %s[%d]@%d: %s is deleted twice: %s", stream, r.Partition, r.Offset, key, history(before))
	case !was || deleted < before[n-1].rev:
		c.wrongf("raw %s[%d]@%d: a tombstone of %s, which is there: deleted at rev %d (%v): %s", stream, r.Partition, r.Offset, key, deleted, was, history(before))
	}
	rev := before[len(before)-1].rev
	if hasVersion(stream) { // else it would leave the row of a newer one
		for _, x := range before {
			rev = max(rev, x.rev)
		}
		if h, err := topics.ParseRawHeaders(r); err != nil || h.Source != rev*int64(time.Millisecond) {
			c.wrongf("raw %s[%d]@%d: a tombstone of %s with version %d (%v), want rev %d: %s", stream, r.Partition, r.Offset, key, h.Source, err, rev, history(before))
		}
	}
	c.counts["tombstones"]++
	return rawRecord{revision{stream, key, rev}, r.Partition, r.Offset, true}, true
}

// removal checks a tombstone that was delivered: it is a revision of its own, and may come late, or twice.
func (c *comparison) removal(r *kgo.Record) (x rawRecord, ok bool) {
	h, err := topics.ParseRawHeaders(r)
	x = rawRecord{revision{"hooks", string(r.Key), h.Source / int64(time.Millisecond)}, r.Partition, r.Offset, true}
	if ok = err == nil && c.source.shapes.removals[x.revision]; !ok {
		c.wrongf("raw hooks[%d]@%d: a tombstone of %s, version %d (%v), and no such deletion was delivered", r.Partition, r.Offset, r.Key, h.Source, err)
	}
	c.counts["tombstones"]++
	return x, ok
}

// A tombstone is a record that is filtered: no step and no table refuses it.
func (x rawRecord) filtered() bool       { return x.gone || x.revision.filtered() }
func (x rawRecord) refusedByStep() bool  { return !x.gone && x.revision.refusedByStep() }
func (x rawRecord) refusedByTable() bool { return !x.gone && x.revision.refusedByTable() }
func (x rawRecord) good() bool           { return x.gone || x.revision.good() }
