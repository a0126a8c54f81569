package ingest

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/millrace-io/millrace/ingest/cursor"
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
		var next *page
		if t.bytes < c.limit && c.pace.Rest() != 0 {
			if next, err = c.next(ctx, c.pace.Left(t.awaited(c.partitions))); err != nil {
				return err
			}
		}
		if next == nil {
			return c.end(t)
		}
		p = next
		if t, err = c.join(ctx, t, p); err != nil {
			return err
		}
	}
}

// join returns the transaction to write one more page to: t, or where the page has no room in it or deletes, the next
// one.
func (c *committer) join(ctx context.Context, t *transaction, p *page) (*transaction, error) {
	if err := p.slice.survey(p); err != nil {
		return t, err
	}
	if len(p.gone) == 0 && len(p.held) == 0 && t.fits(p) {
		return t, nil
	}
	if err := c.end(t); err != nil {
		return t, err
	}
	if err := c.readBack(ctx, p); err != nil {
		return t, err
	}
	return c.begin(ctx, p)
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
	took, err := c.room.acquire(ctx, min(p.size(), 2*c.limit))
	if err != nil {
		return nil, err
	}
	c.pace.Begin()
	tx, err := c.log.Begin()
	if err != nil {
		c.room.release(took)
		return nil, err
	}
	began := time.Now()
	ctx, cancel := context.WithDeadline(ctx, began.Add(c.timeout))
	return &transaction{
		tx: tx, c: c, ctx: ctx, cancel: cancel, room: took, whole: took >= p.size(), began: began,
		cursors: map[*slice]*cursor.Cursor{}, counts: map[*slice]*counts{},
	}, nil
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
