package ingest

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/internal/changelog"
)

// Pages that were fetched and not committed are kept while their partition is claimed again, so that brokers that do
// not answer in time do not cost the API its pages again. A page is only what the API said: whether it was committed,
// and what follows, the state topic decides. Kept pages go on if the cursor there is the one before the first of them.

// keep takes over the pages of an attempt that ended with err, in order.
func (o *owner) keep(err error, pages []*page) {
	o.kept = map[string][]*page{}
	fenced := (*changelog.FencedError)(nil)
	for _, p := range pages {
		// a child is restored whole
		if err == nil || errors.As(err, &fenced) || p.list != nil || p.slice.child != nil || p.slice.of != nil {
			p.close()
			continue
		}
		o.kept[p.slice.key] = append(o.kept[p.slice.key], p)
	}
}

// drop closes what is kept.
func (o *owner) drop() {
	for _, pages := range o.kept {
		closeAll(pages)
	}
	o.kept = nil
}

func closeAll(pages []*page) {
	for _, p := range pages {
		p.close()
	}
}

// adoptPages gives the slice the pages that were kept of it and follow c, which was committed.
func (s *slice) adoptPages(c cursor.Cursor, pages []*page) error {
	var first int
	for first = range pages {
		if ok, err := s.precedes(c, pages[first].before); ok || err != nil {
			closeAll(pages[:first])
			if err != nil {
				closeAll(pages[first:])
				return err
			}
			s.kept = pages[first:]
			break
		}
	}
	if len(s.kept) == 0 {
		closeAll(pages)
		return nil
	}
	s.kept[0].before.Partial = c.Partial
	for _, p := range s.kept {
		p.slice, p.committed = s, make(chan struct{})
	}
	s.plan = s.kept[len(s.kept)-1].after
	return nil
}

// precedes reports whether a page that was placed after before may be committed after c.
func (s *slice) precedes(c, before cursor.Cursor) (bool, error) {
	same := func(a, b cursor.Cursor) (bool, error) {
		a.Partial, b.Partial = nil, nil
		a.Oldest, b.Oldest = 0, 0
		a.Windows, b.Windows = nil, nil
		x, err1 := a.Encode()
		y, err2 := b.Encode()
		return bytes.Equal(x, y), errors.Join(err1, err2)
	}
	if ok, err := same(c, before); ok || err != nil || !c.Done {
		return ok, err
	}
	return same(s.begin(c, before.Started), before)
}

// queueKept hands the kept pages to the owner, and waits for the last one if it ends the pass. Those of a stream that
// is paused are given up.
func (s *slice) queueKept(ctx context.Context) {
	if shut, _ := s.gate.state(); shut && len(s.kept) > 0 {
		s.plan = s.kept[0].before
		closeAll(s.kept)
		s.kept = nil
	}
	for i, p := range s.kept {
		select {
		case s.queue <- p:
		case <-ctx.Done():
			closeAll(s.kept[i:])
			s.kept = nil
			return
		}
	}
	if n := len(s.kept); n > 0 && s.kept[n-1].after.Done {
		select {
		case <-s.kept[n-1].committed:
			s.learn(s.kept[n-1])
		case <-ctx.Done():
		}
	}
	s.kept = nil
}

// uncommitted lists the pages of a transaction, and the page in hand, without those that were committed.
func uncommitted(t *transaction, p *page) []*page {
	var left []*page
	if t != nil {
		left = slices.Clone(t.pages)
	}
	if !slices.Contains(left, p) {
		left = append(left, p)
	}
	for _, p := range left {
		p.lent = true
	}
	return left
}
