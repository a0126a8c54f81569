package ingest

import (
	"context"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/written"
	"github.com/millrace-io/millrace/internal/changelog"
	"github.com/millrace-io/millrace/internal/stage"
)

// transaction is whole pages, or a piece of one large page, and one cursor for each of their slices.
type transaction struct {
	tx      *changelog.Transaction
	c       *committer
	ctx     context.Context //nolint:containedctx // it is the transaction's: the brokers abort it when it ends
	cancel  context.CancelFunc
	room    int64 // bytes that it may hold
	whole   bool  // there is room for the page in hand
	began   time.Time
	bytes   int64
	pages   []*page                   // that end in it
	cursors map[*slice]*cursor.Cursor // to commit
	counts  map[*slice]*counts
	passing int      // slices in it whose pass goes on
	only    []*slice // of which there are pages of windows alone
}

// awaited is over how many records, and at most how many partitions of its raw topic, the transaction is. Where every
// pass in it has ended, none of its slices adds to it, so that its records are no reason to wait.
func (t *transaction) awaited(partitions int) (records, touched int) {
	for _, n := range t.counts {
		records += n.records + n.letters + n.deleted
	}
	touched = min(records, partitions)
	if t.passing == 0 {
		return 0, touched
	}
	return records, touched
}

type counts struct {
	records, unchanged, letters, deleted int
	refused                              stage.Batch
}

// fits takes room for one more page.
func (t *transaction) fits(p *page) bool {
	missing := t.bytes + p.size() - t.room
	if missing > 0 {
		if t.room+missing > 2*t.c.limit || !t.c.room.more(missing) {
			return false
		}
		t.room += missing
	}
	t.whole = true
	return true
}

// release gives back the room of a transaction that has ended with err, and says how it went.
func (t *transaction) release(err error) {
	t.cancel()
	if t.room == 0 {
		return
	}
	t.c.room.release(t.room)
	t.room = 0
	if took := time.Since(t.began); err == nil {
		t.c.room.committed(took, t.c.timeout)
	} else {
		t.c.room.failed(t.bytes, took, t.c.timeout)
	}
}

// ended notes that a page ends in this transaction.
func (t *transaction) ended(p *page) {
	after := p.after
	if p.known != nil {
		after.Known = p.known
	}
	if before := t.cursors[p.slice]; before != nil && !before.Done {
		t.passing--
	}
	if !after.Done {
		t.passing++
	}
	t.cursors[p.slice] = &after
	t.pages = append(t.pages, p)
	p.filled(after)
}

// broken notes that this transaction ends inside a page.
func (t *transaction) broken(p *page, ordinal int) error {
	h, err := p.answer.Body.Hash()
	if err != nil {
		return err
	}
	b := h.Bytes()
	c := p.before
	c.Partial = &cursor.Partial{Ordinal: ordinal, Hash: hex.EncodeToString(b[:])}
	t.cursors[p.slice] = &c
	p.filled(c)
	return nil
}

// commit writes the cursors and ends the transaction. When it returns nil, everything in it is durable and visible.
func (t *transaction) commit() error {
	start := time.Now()
	if err := t.appendState(); err != nil {
		return err
	}
	if err := t.tx.Commit(t.ctx); err != nil {
		return err
	}
	t.release(nil)
	t.committed(time.Since(start))
	return nil
}

// appendState writes to the state topic: segments of what is remembered, and cursors.
func (t *transaction) appendState() error {
	for s := range maps.Clone(t.cursors) {
		if s.of != nil && t.cursors[s.of] == nil {
			c := s.of.back.last()
			t.cursors[s.of] = &c
			t.only = append(t.only, s.of)
		}
	}
	for s, c := range t.cursors {
		if s.of != nil {
			continue // it is in the other's
		}
		if err := t.appendSlice(s, c); err != nil {
			return err
		}
	}
	return nil
}

// appendSlice is appendState for a slice, with its cursor.
func (t *transaction) appendSlice(s *slice, c *cursor.Cursor) error {
	if c.Done && !slices.Contains(t.only, s) {
		floor := c.Fetched
		if !s.full {
			floor = s.reader.scale.Floor(c.Since, c.Form)
		}
		if s.back != nil {
			s.written.Linger(s.back.lowest())
		}
		s.written.SetFloor(floor)
	}
	segments := s.written.Commit()
	for _, r := range segments {
		t.tx.Append(t.ctx, written.SegmentKey(s.key, r.Segment), r.Value)
	}
	c.Oldest = s.written.Oldest()
	if s.child != nil {
		var err error
		if *c, err = s.child.commits(*c); err != nil {
			return err
		}
	}
	if s.back != nil {
		c.Windows = s.back.state()
	}
	value, err := c.Encode()
	if err != nil {
		return err
	}
	t.tx.Append(t.ctx, []byte(s.key), value)
	if s.child != nil {
		s.child.took(value, *c, segments)
	}
	return nil
}

// committed counts what is durable now, and tells those who wait for it.
func (t *transaction) committed(took time.Duration) {
	for s, n := range t.counts {
		s.in.metrics.commits.Observe(took.Seconds())
		s.count(n)
	}
	for s, c := range t.cursors {
		if s.back != nil {
			s.back.committed(*c)
		}
	}
	for _, p := range t.pages {
		if p.list != nil {
			p.list.committed()
		} else {
			p.slice.countPage(p)
			p.close()
		}
		close(p.committed)
	}
}

// count counts the records of a transaction.
func (s *slice) count(n *counts) {
	s.metrics.records.Add(float64(n.records))
	s.metrics.unchanged.Add(float64(n.unchanged))
	s.metrics.deadLetters.Add(float64(n.letters))
	s.metrics.deleted.Add(float64(n.deleted))
	s.in.progress.Add(s.stream.Name, time.Time{}, n.records, n.unchanged, n.letters)
	s.in.refusals.Committed(&n.refused, s.in.letters)
	s.tally.add(tally{records: n.records + n.unchanged + n.letters + n.deleted, changed: n.records, letters: n.letters, deleted: n.deleted})
}

// countPage counts a page that is committed whole, and the pass that ends with it.
func (s *slice) countPage(p *page) {
	s.metrics.pages.Inc()
	s.tally.pages++
	s.tellDeletes(p)
	switch {
	case p.after.Done && s.of != nil:
		s.of.filledOne()
	case p.after.Done:
		s.metrics.passes.Inc()
		if s.child == nil && s.settled() && !p.torn() {
			s.in.passEnded(s.key)
		}
		s.in.seen[s.stream].passes.end(s, s.tally, p, s.child == nil && s.in.lastPass(s.stream))
		s.tally = tally{}
	}
}
