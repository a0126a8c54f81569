package ingest

import (
	"context"
	"fmt"
	"sync"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/known"
	"github.com/millrace-io/millrace/ingest/written"
	"github.com/millrace-io/millrace/internal/changelog"
)

// queuedPages is how many pages may wait for the commit loop: as many as come in while a commit takes its time.
const queuedPages = 16

// fetchers bring the pages of a claimed partition of the state topic: its slices and its feeds.
type fetchers struct {
	in     *Ingest
	slices []*slice
	feeds  []*feed
	queue  chan *page // closed when all of them have ended
	failed error      // of reading the parents' topics; to be read when queue is closed
}

// restore returns the fetchers of the partition as they were left. They must be closed, with an error too.
func (o *owner) restore(state *restored) (*fetchers, error) {
	f := &fetchers{in: o.in, queue: make(chan *page, queuedPages)}
	for _, ref := range o.in.byPartition[o.partition] {
		if ref.feed {
			continue
		}
		s, err := o.slice(ref, state, f.queue)
		if s != nil {
			f.slices = append(f.slices, s)
		}
		if err != nil {
			return f, err
		}
	}
	for _, ref := range o.in.byPartition[o.partition] {
		if !ref.feed {
			continue
		}
		x, err := o.in.newFeed(ref, state, f.queue)
		if err != nil {
			return f, err
		}
		f.feeds = append(f.feeds, x)
	}
	return f, nil
}

// start starts them. They end with ctx, which cancel ends, and end it themselves where the parents' topics cannot be
// read.
func (f *fetchers) start(ctx context.Context, cancel func(), log *changelog.Changelog) {
	var running sync.WaitGroup
	for _, s := range f.slices {
		running.Go(func() { s.run(ctx) })
	}
	if len(f.feeds) > 0 {
		running.Go(func() {
			if err := f.in.follow(ctx, log, f.feeds); err != nil && ctx.Err() == nil {
				f.failed = err
				cancel()
			}
		})
	}
	for _, x := range f.feeds {
		running.Go(func() { x.run(ctx) })
	}
	go func() {
		running.Wait()
		close(f.queue)
	}()
}

// close gives back what they hold for the process. They have ended, or were not started.
func (f *fetchers) close() {
	for _, x := range f.feeds {
		x.leave()
	}
	closeSlices(f.slices)
}

// slice restores a slice of the partition. If it returns one, it must be closed, with an error too.
func (o *owner) slice(ref sliceRef, state *restored, queue chan<- *page) (*slice, error) {
	key := cursor.Key(ref.stream.Name, ref.name)
	var c cursor.Cursor
	if value, ok := state.cursors[key]; ok {
		var err error
		if c, err = cursor.Decode(key, value); err != nil {
			return nil, err
		}
	}
	c, begun := o.in.sameTopic(ref.stream, c)
	s, err := o.in.newSlice(ref.stream, ref.name, nil, c, queue)
	if err != nil {
		return nil, err
	}
	bound := min(o.in.cfg.RememberedRecords, o.in.cfg.RememberedInAll/max(o.in.ownedSlices(), 1))
	s.written = written.New(bound, s.full, o.in.p.Kafka.MaxRecordBytes)
	if err := s.remember(state.segments[key], c, begun); err != nil {
		return s, err
	}
	if err := s.adoptKeys(state); err != nil {
		return s, err
	}
	if err := s.adoptPages(s.plan, o.kept[key]); err != nil {
		return s, err
	}
	delete(o.kept, key)
	return s, nil
}

// remember restores what the slice has written, as it was when c was committed; nothing of it counts if forget.
func (s *slice) remember(segments map[uint64][]byte, c cursor.Cursor, forget bool) error {
	if err := s.written.Restore(segments, c.Oldest, c.Pass); err != nil {
		return err
	}
	if forget || c.Version != 0 && c.Shared != s.shared {
		s.written.Forget()
	}
	if s.plan.Since != nil && !s.full {
		s.written.SetFloor(s.reader.scale.Floor(s.plan.Since, s.plan.Form))
	}
	return nil
}

// adoptKeys restores the keys that complete reads have shown, if they delete.
func (s *slice) adoptKeys(state *restored) error {
	if s.stream.Ingest.Deletes != nil {
		if err := state.known[s.key].Err(); err != nil {
			return fmt.Errorf("state of %s: %w", s.key, err)
		}
		s.keys = known.Adopt(state.known[s.key], s.plan.Known, s.in.seen[s.stream].room)
	}
	delete(state.known, s.key)
	return nil
}
