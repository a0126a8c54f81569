package ingest

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/known"
	"github.com/millrace-io/millrace/ingest/written"
	"github.com/millrace-io/millrace/pipeline"
)

// listing is what a feed has to commit: children that are wanted, or deleted, with the position after the records of
// the parent that say so; or children whose records were deleted, which leave the state topic.
type listing struct {
	feed    *feed
	records []parentRecord
	next    int64 // position after records

	removed []*child
	of      map[*child]int64         // the revisions in which removed were deleted
	orphans map[*child][]*kgo.Record // tombstones for what they had written

	touched []*child
}

// parentRecord is the newest revision that a listing has of a record.
type parentRecord struct {
	key     string
	offset  int64
	fields  map[string]json.RawMessage
	deleted bool
}

// listed is how many children a listing is about at most, unless a record alone has more.
const listed = 1000

// takeIn takes records of the parent in, in order. It returns when they are handed over to be committed.
func (f *feed) takeIn(ctx context.Context, records []*kgo.Record) error {
	values := make([]jsontext.Value, f.fields.Len())
	l := &listing{feed: f}
	newest := map[string]int{}
	from := f.read.Load()
	for _, r := range records {
		if r.Offset < from { // another feed of this partition is behind
			continue
		}
		if l.next = r.Offset + 1; r.Attrs.IsControl() {
			continue
		}
		rec := parentRecord{key: string(r.Key), offset: r.Offset, deleted: r.Value == nil}
		if !rec.deleted {
			rec.fields = f.found(r.Value, values)
		}
		if at, again := newest[rec.key]; again {
			l.records[at] = rec
		} else {
			newest[rec.key] = len(l.records)
			l.records = append(l.records, rec)
		}
		if len(l.records)*len(f.crossed) >= listed {
			if err := f.list(ctx, l); err != nil {
				return err
			}
			l, newest = &listing{feed: f}, map[string]int{}
		}
	}
	if len(l.records) == 0 { // markers alone are read again after a restart, which costs nothing
		f.read.Store(max(f.read.Load(), l.next))
		return nil
	}
	return f.list(ctx, l)
}

// found are the fields of a record that requests are made with. null counts as absent.
func (f *feed) found(record []byte, values []jsontext.Value) map[string]json.RawMessage {
	f.fields.Find(record, values)
	var fields map[string]json.RawMessage
	for i, v := range values {
		if v == nil || v.Kind() == 'n' {
			continue
		}
		if fields == nil {
			fields = map[string]json.RawMessage{}
		}
		fields[f.names[i]] = json.RawMessage(v.Clone())
	}
	return fields
}

// list hands a listing over to be committed.
func (f *feed) list(ctx context.Context, l *listing) error {
	f.pending.Add(1)
	if l.next > 0 {
		f.read.Store(l.next)
	}
	p := &page{list: l, committed: make(chan struct{})}
	select {
	case f.queue <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// list writes a listing.
func (t *transaction) list(p *page) error {
	if err := p.list.write(t); err != nil {
		return err
	}
	t.pages = append(t.pages, p)
	return t.tx.Err()
}

func (l *listing) write(t *transaction) error {
	f := l.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, rec := range l.records {
		for _, values := range f.crossed {
			if err := l.want(t, rec, pipeline.SliceName(append([]string{rec.key}, values...)...)); err != nil {
				return err
			}
		}
	}
	for _, c := range l.removed {
		l.remove(t, c)
	}
	if l.next == 0 {
		return nil
	}
	f.at.Next = l.next
	value, err := f.at.Encode()
	if err != nil {
		return err
	}
	t.tx.Append(t.ctx, []byte(cursor.FeedKey(f.stream.Name, f.partition)), value)
	return nil
}

// want notes a revision of a record for the child of that name.
func (l *listing) want(t *transaction, rec parentRecord, name string) error {
	f := l.feed
	revision := f.at.Generation<<revisionBits | rec.offset
	c := f.children[name]
	if c == nil && rec.deleted {
		return nil
	}
	c, cur, err := f.childFor(c, name)
	if err != nil {
		return err
	}
	var of cursor.Child
	if cur.Child != nil {
		if of = *cur.Child; revision < of.Want {
			return nil // the parent is read again, and this is not its newest
		}
	}
	of.Partition, of.Want, of.Gone = f.partition, revision, rec.deleted
	if !rec.deleted {
		of.Fields = rec.fields
	}
	cur.Child = &of
	value, err := cur.Encode()
	if err != nil {
		return err
	}
	t.tx.Append(t.ctx, []byte(c.key()), value)
	t.bytes += int64(len(value))
	c.failures = 0
	if !of.Gone {
		delete(f.gone, c)
	}
	c.set(value, cur)
	if c.gone && c.cancel != nil {
		c.cancel()
	}
	l.touched = append(l.touched, c)
	return nil
}

// childFor returns c with its cursor, or a new child of that name if c is nil.
func (f *feed) childFor(c *child, name string) (*child, cursor.Cursor, error) {
	if c != nil {
		cur, err := cursor.Decode(c.key(), c.state)
		return c, cur, err
	}
	cur := cursor.Start(f.reader.scale.Kind())
	cur.Pass = f.at.Pass
	c = &child{feed: f, name: name, at: notDue}
	f.add(c, nil, nil)
	return c, cur, nil
}

// remove takes a child out of the state, unless its record has come back meanwhile.
func (l *listing) remove(t *transaction, c *child) {
	f := l.feed
	if c.leaving = false; !c.gone || c.active || c.want != l.of[c] {
		signal(f.reaping) // it may have gone again
		return
	}
	for _, r := range l.orphans[c] {
		t.tx.Produce(t.ctx, r)
		if c.keys != nil {
			t.tx.Append(t.ctx, known.StateKey(c.key(), r.Key), nil)
		}
		t.bytes += int64(len(r.Key)) + headerBytes
	}
	for number := range c.segments {
		t.tx.Append(t.ctx, written.SegmentKey(c.key(), number), nil)
	}
	t.tx.Append(t.ctx, []byte(c.key()), nil)
	delete(f.gone, c)
	f.drop(c)
}

// committed has the children fetched that are due now.
func (l *listing) committed() {
	f := l.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range l.touched {
		f.plan(c)
	}
	f.pending.Add(-1)
	if len(l.removed) > 0 {
		f.log.Info("records of "+f.stream.Ingest.ForEach.Parent+" were deleted", "records", len(l.removed), "tombstones", l.tombstones())
	}
}

func (l *listing) tombstones() (n int) {
	for _, records := range l.orphans {
		n += len(records)
	}
	return n
}

// String names the feed.
func (f *feed) String() string {
	return fmt.Sprintf("%s of %s[%d]", f.stream.Name, f.topic, f.partition)
}
