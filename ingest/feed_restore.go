package ingest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/cut"
	"github.com/millrace-io/millrace/ingest/known"
	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/topics"
)

// newFeed restores a feed.
func (in *Ingest) newFeed(ref sliceRef, state *restored, queue chan<- *page) (*feed, error) {
	s := ref.stream
	i := &s.Ingest
	f := &feed{
		in: in, stream: s, partition: ref.partition, topic: topics.Raw(in.p.Name, i.ForEach.Parent),
		log: in.env.Log.With("stream", s.Name), queue: queue, kids: in.kids[s], gate: in.decisions.gates[s.Name],
		crossed: i.Slices.Combinations(), wake: make(chan struct{}, 1), reaping: make(chan struct{}, 1),
		children: map[string]*child{}, gone: map[*child]bool{},
	}
	var err error
	if f.reader, err = in.reader(s, paginate.New(i.Paginate).Wants()); err != nil {
		return nil, err
	}
	placed := i.ParentFields()
	f.names = slices.Sorted(maps.Keys(placed))
	paths := make([][]string, len(f.names))
	for n, name := range f.names {
		paths[n] = placed[name]
	}
	f.fields = cut.NewFields(paths...)
	if err := f.restorePosition(state); err != nil {
		return nil, err
	}
	for key, value := range state.cursors {
		name, ok := strings.CutPrefix(key, s.Name+"/")
		if !ok {
			continue
		}
		if err := f.restoreChild(name, value, state.segments[key], state.known[key]); err != nil {
			f.leave()
			return nil, err
		}
	}
	return f, nil
}

func (f *feed) restorePosition(state *restored) error {
	key := cursor.FeedKey(f.stream.Name, f.partition)
	if value, ok := state.positions[key]; ok {
		var err error
		if f.at, err = cursor.DecodeFeed(key, value); err != nil {
			return err
		}
	}
	raw, of := f.in.topics.ID(f.topic), f.identity()
	if f.at.Of != of || raw != "" && f.at.Raw != raw {
		f.at = cursor.Feed{Raw: raw, Generation: f.at.Generation + 1, Of: of, Pass: f.at.Pass}
	}
	f.read.Store(f.at.Next)
	return nil
}

// identity names what children are made from: when it changes, all records of the parent are read again.
func (f *feed) identity() string {
	text := fmt.Sprintf("%q %q %q", f.topic, f.crossed, f.names)
	return fmt.Sprintf("%016x", xxh3.HashString(text))
}

// restoreChild restores a child if it is of this feed, and of a combination of values that the pipeline file still has.
func (f *feed) restoreChild(name string, value []byte, segments map[uint64][]byte, keys *known.Restored) error {
	c := &child{feed: f, name: name, at: notDue}
	cur, err := cursor.Decode(c.key(), value)
	if err != nil {
		return err
	}
	if cur.Child == nil || cur.Child.Partition != f.partition || !f.has(name) {
		return nil
	}
	cur, begun := f.in.sameTopic(f.stream, cur)
	c.segments, c.forget = segments, begun
	if begun {
		if value, err = cur.Encode(); err != nil {
			return err
		}
	}
	if err := keys.Err(); err != nil {
		return fmt.Errorf("state of %s: %w", c.key(), err)
	}
	f.add(c, keys, newKnown(&f.stream.Ingest, cur))
	c.set(value, cur)
	f.plan(c)
	return nil
}
