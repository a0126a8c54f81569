package ingest

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/written"
	"github.com/millrace-io/millrace/internal/changelog"
	"github.com/millrace-io/millrace/internal/stage"
)

// committer commits the pages of a queue in transactions. After any error the claim is given up, with all that is
// remembered: what was committed is read back from the state topic, so that it does not matter what became of a
// commit that had no answer.
type committer struct {
	log        *changelog.Changelog
	queue      <-chan *page
	pace       stage.Pace
	partition  int32 // of the state topic
	partitions int   // of a raw topic
	limit      int64 // bytes of records in a transaction
	room       *room
	timeout    time.Duration // of a transaction: the brokers abort it later
	left       []*page       // not committed, after an error
	space      rawSpace
}

// run commits until the queue is closed, or something fails.
func (c *committer) run(ctx context.Context) error {
	for {
		select {
		case p, ok := <-c.queue:
			if !ok {
				return nil
			}
			if err := c.transact(ctx, p); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// transact commits p and the pages that are there when it may end by the pace, or that come until then. The transaction
// begins when a page is there, so that a slow API never holds one open.
func (c *committer) transact(ctx context.Context, p *page) (err error) {
	var t *transaction
	defer func() {
		if t != nil {
			t.release(err)
		}
		if err != nil {
			c.left = uncommitted(t, p)
		}
	}()
	if err = p.slice.survey(p); err == nil {
		err = c.readBack(ctx, p)
	}
	if err != nil {
		return err
	}
	if t, err = c.begin(ctx, p); err != nil {
		return err
	}
	for {
		if t, err = c.write(ctx, t, p); err != nil {
			return err
		}
		if t.bytes >= c.limit || c.pace.Rest() == 0 {
			break
		}
		next, err := c.next(ctx, c.pace.Left(t.awaited(c.partitions)))
		if err != nil {
			return err
		}
		if next == nil {
			break
		}
		p = next
		if err := p.slice.survey(p); err != nil {
			return err
		}
		if len(p.gone) == 0 && len(p.held) == 0 && t.fits(p) {
			continue
		}
		if err := c.end(t); err != nil {
			return err
		}
		if err := c.readBack(ctx, p); err != nil {
			return err
		}
		if t, err = c.begin(ctx, p); err != nil {
			return err
		}
	}
	return c.end(t)
}

// end commits t.
func (c *committer) end(t *transaction) error {
	c.pace.End()
	return t.commit()
}

// next is the next page, if there is one or one comes within a time; else it is nil.
func (c *committer) next(ctx context.Context, within time.Duration) (*page, error) {
	select {
	case p := <-c.queue: // nil if it is closed
		return p, nil
	default:
	}
	if within == 0 {
		return nil, nil //nolint:nilnil // as the comment says
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case p := <-c.queue:
		return p, nil
	case <-timer.C:
		return nil, nil //nolint:nilnil // as the comment says
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// write writes a page to t and returns the transaction in which it ends: a page that is too large for one commits in
// pieces.
func (c *committer) write(ctx context.Context, t *transaction, p *page) (*transaction, error) {
	if p.list != nil {
		return t, t.list(p)
	}
	from, err := resume(p)
	if err != nil {
		return t, err
	}
	for {
		if from, err = t.produce(p, from); err != nil {
			return t, err
		}
		if from >= p.summary.Records && t.bury(p) {
			t.ended(p)
			return t, nil
		}
		if err = t.broken(p, from); err == nil {
			err = t.commit()
		}
		if err != nil {
			return t, err
		}
		if t, err = c.begin(ctx, p); err != nil {
			return nil, err
		}
	}
}

// begin begins a transaction when there is room for p, or for as much of it as a transaction may hold.
func (c *committer) begin(ctx context.Context, p *page) (*transaction, error) {
	took, err := c.room.take(ctx, min(p.size(), 2*c.limit))
	if err != nil {
		return nil, err
	}
	c.pace.Begin()
	tx, err := c.log.Begin()
	if err != nil {
		c.room.give(took)
		return nil, err
	}
	began := time.Now()
	ctx, cancel := context.WithDeadline(ctx, began.Add(c.timeout))
	return &transaction{
		tx: tx, c: c, ctx: ctx, cancel: cancel, room: took, whole: took >= p.size(), began: began,
		cursors: map[*slice]*cursor.Cursor{}, counts: map[*slice]*counts{},
	}, nil
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
	t.c.room.give(t.room)
	t.room = 0
	if took := time.Since(t.began); err == nil {
		t.c.room.committed(took, t.c.timeout)
	} else {
		t.c.room.failed(t.bytes, took, t.c.timeout)
	}
}

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

// errFull ends the walk over a page's records where the transaction is full.
var errFull = errors.New("transaction is full")

// produce writes the records of a page from an ordinal on that have changed, while there is room in the transaction.
// It returns the ordinal of the next record, which is the number of records if the page is complete.
func (t *transaction) produce(p *page, from int) (int, error) {
	s := p.slice
	raw := newRawRecords(p, &t.c.space)
	n := t.counts[s]
	if n == nil {
		n = &counts{}
		t.counts[s] = n
	}
	if !s.full {
		s.written.SetHorizon(s.horizonOf(p))
	}
	next := from
	err := s.reader.each(p, from, func(ordinal int, rec *record, keep bool) error {
		if !t.whole && t.bytes >= t.room && t.bytes > 0 {
			return errFull
		}
		next = ordinal + 1
		s.reader.judge(rec, p)
		remember := !s.shared || rec.reason != "" // what another slice wrote last is not known here
		unchanged := remember && s.unchanged(rec, p)
		if s.keys != nil && rec.reason == "" && !rec.deleted {
			t.know(p, rec)
		}
		if unchanged {
			n.unchanged++
			return nil
		}
		if !keep {
			rec.value = bytes.Clone(rec.value)
		}
		field := rec.field
		if s.full {
			field = p.after.Pass
		}
		if remember {
			s.written.Wrote(rec.id, rec.content, field)
		}
		t.bytes += int64(len(rec.value) + len(rec.key))
		out := raw.record(ordinal, rec)
		switch {
		case rec.reason == "" && rec.deleted:
			n.deleted++
			t.unknow(s, rec.id, rec.key)
			out.Value = nil
		case rec.reason == "":
			n.records++
		default:
			n.letters++
			n.refused.Add(s.stream.Name, rec.step, rec.reason, recordName(p, ordinal, rec))
			out = letter(p, ordinal, rec, out)
		}
		t.tx.Produce(t.ctx, out)
		return nil
	})
	if err != nil && !errors.Is(err, errFull) {
		return next, fmt.Errorf("read page %s of %s again: %w", p.id, s.key, err)
	}
	return next, t.tx.Err()
}

// horizon is the value of the incremental field below which no later pass asks for records: what the next would ask from
// if this one ended with c, as since only grows. What lies at or above it may be asked for after a crash, so it must be
// stored with the records.
func (s *slice) horizon(c cursor.Cursor) int64 {
	end := c.End(c.Started)
	return s.reader.scale.Floor(end.Since, end.Form)
}

// horizonOf is [slice.horizon] when a page is committed: of a window, that of the slice whose past it is.
func (s *slice) horizonOf(p *page) int64 {
	if s.of != nil {
		return s.of.horizon(s.of.back.last())
	}
	if s.downward() && (p.at.Index < 2 || p.before.Since != nil) {
		return math.MinInt64 // what is older than since comes again with it, on one page, or on two
	}
	return s.horizon(p.after)
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

// resume is the ordinal from which on a page is not committed yet, after a crash between its pieces. If the page has
// changed since, it begins again.
func resume(p *page) (int, error) {
	partial := p.before.Partial
	if partial == nil {
		return 0, nil
	}
	h, err := p.answer.Body.Hash()
	if err != nil {
		return 0, err
	}
	if b := h.Bytes(); hex.EncodeToString(b[:]) != partial.Hash {
		p.slice.log.Info("a large page has changed since its first records were committed: it begins again",
			"url", p.url, "records", partial.Ordinal)
		return 0, nil
	}
	return partial.Ordinal, nil
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
	}
	return nil
}

func (t *transaction) committed(took time.Duration) {
	for s, n := range t.counts {
		s.metrics.records.Add(float64(n.records))
		s.metrics.unchanged.Add(float64(n.unchanged))
		s.metrics.deadLetters.Add(float64(n.letters))
		s.metrics.deleted.Add(float64(n.deleted))
		s.in.metrics.commits.Observe(took.Seconds())
		s.in.progress.Add(s.stream.Name, time.Time{}, n.records, n.unchanged, n.letters)
		s.in.refusals.Committed(&n.refused, s.in.letters)
		s.tally.add(tally{records: n.records + n.unchanged + n.letters + n.deleted, changed: n.records, letters: n.letters, deleted: n.deleted})
	}
	for s, c := range t.cursors {
		if s.back != nil {
			s.back.committed(*c)
		}
	}
	for _, p := range t.pages {
		if p.list != nil {
			p.list.committed()
			close(p.committed)
			continue
		}
		s := p.slice
		s.metrics.pages.Inc()
		s.tally.pages++
		s.tellDeletes(p)
		switch {
		case p.after.Done && s.of != nil:
			s.of.filledOne()
		case p.after.Done:
			s.metrics.passes.Inc()
			if s.child == nil && s.settled() {
				s.in.passEnded(s.key)
			}
			s.in.seen[s.stream].passes.end(s, s.tally, p, s.child == nil && s.in.lastPass(s.stream))
			s.tally = tally{}
		}
		p.close()
		close(p.committed)
	}
}
