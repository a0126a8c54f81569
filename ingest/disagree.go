package ingest

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/millrace-io/millrace/ingest/paginate"
)

// next returns the next page of the pass. One that shows a key otherwise than a page that was in flight beside it is
// asked for again.
func (p *pages) next(ctx context.Context) (*page, error) {
	got, err := p.get(ctx)
	if err != nil {
		return nil, err
	}
	if p.beside == nil {
		p.decided(got)
		return got, nil
	}
	if differ := p.beside.disagree(got); len(differ) > 0 {
		since := got.received
		got.close()
		if got, err = p.s.fetch(ctx, p.cursor, p.at); err != nil {
			return nil, err
		}
		p.lost(ctx, differ, got, since)
	}
	p.beside.note(got)
	p.decided(got)
	return got, nil
}

// mostAskedBack is how many pages are asked for again at most for what another page has lost.
const mostAskedBack = 3

// lost is about the keys that pages disagree about, and that the answer which was asked for then shows no more: they
// are elsewhere by now. Mostly they have moved to the page before, which is asked for again: if it still shows what was
// written of them, that is the newest. All others are open.
func (p *pages) lost(ctx context.Context, differ map[uint64]sight, got *page, since time.Time) {
	for i := range got.records {
		delete(differ, got.records[i].id)
	}
	on := map[int]bool{}
	for _, s := range differ {
		on[s.page] = true
	}
	for n, number := range slices.Sorted(maps.Keys(on)) {
		if n == mostAskedBack {
			break
		}
		again, err := p.s.fetch(ctx, p.cursor, p.beside.page(number).at)
		if err != nil {
			break
		}
		for i := range again.records {
			rec := &again.records[i]
			if s, ok := differ[rec.id]; ok && s.content == rec.content {
				delete(differ, rec.id)
			}
		}
		again.close()
	}
	if p.open == nil && len(differ) > 0 {
		p.open = map[uint64]time.Time{}
	}
	for id := range differ {
		p.open[id] = since
	}
}

// decided notes which of the open keys a page shows, whose content is the newest then.
func (p *pages) decided(got *page) {
	if len(p.open) == 0 {
		return
	}
	for i := range got.records {
		id := got.records[i].id
		if since, ok := p.open[id]; ok && got.sent.After(since) {
			delete(p.open, id)
		}
	}
}

// again is where the pass goes on after its last page: at the first one, in turn, if keys are open. What was thrown
// away of them may have been newer than what was written.
func (p *pages) again(next paginate.Position, ended paginate.Reason) (paginate.Position, paginate.Reason) {
	if ended == paginate.GoesOn || len(p.open) == 0 {
		return next, ended
	}
	clear(p.open)
	p.stop()
	p.inTurn = true
	p.s.opening.Store(true)
	return p.s.pager.First(), paginate.GoesOn
}
