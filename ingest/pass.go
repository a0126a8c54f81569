package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/paginate"
)

// apart is pass on a stack of its own, so that a slice which waits for its next pass holds a small one: there may be
// thousands.
func (s *slice) apart(ctx context.Context) error {
	ended := make(chan error)
	go func() { ended <- s.pass(ctx) }()
	return <-ended
}

// pass fetches the pages that are left of the pass and hands them to the owner in order. It returns when the last one
// is committed, and errPaused if the stream is paused before: what the owner has by then is committed.
func (s *slice) pass(ctx context.Context) error {
	if s.plan.Done {
		s.beginPass(time.Now())
	}
	loop := paginate.Loop{Repeats: s.repeats(), MaxEmpty: int64(s.stream.Ingest.EmptyPages)}
	open, cancel := s.gate.during(ctx)
	defer cancel()
	s.opening.Store(s.plan.Next == s.pager.First())
	pages := s.pages(open)
	defer func() { pages.stop() }()
	for {
		p, err := pages.next(open)
		s.opening.Store(false)
		if err != nil && ctx.Err() == nil && errors.Is(context.Cause(open), errPaused) {
			return errPaused
		}
		if err != nil {
			return s.tooDeep(ctx, err)
		}
		next, ended, err := s.accept(p, &loop, pages)
		if err != nil {
			p.close()
			return err
		}
		if err := s.hand(ctx, p); err != nil {
			return err
		}
		if ended != paginate.GoesOn {
			pages.stop()
			s.goesOn() // a request past the end may have been tried again meanwhile
			return s.awaitEnd(ctx, p)
		}
		if next.Index == 0 && !pages.inTurn {
			return errAgain
		}
		pages.advance(open, p, next)
	}
}

// accept finds where the pass goes on after a page, or why it ends with it, and gives the page its place.
func (s *slice) accept(p *page, loop *paginate.Loop, of *pages) (paginate.Position, paginate.Reason, error) {
	if s.late(p) {
		return paginate.Position{}, paginate.GoesOn, errCut
	}
	next, ended, err := s.follows(p, loop)
	if err != nil {
		return next, ended, &pageError{url: p.url, err: err}
	}
	if ended, err = s.beyond(p, next, ended); err == nil {
		next, ended, err = s.steadied(p, next, ended)
	}
	if err != nil {
		return next, ended, err
	}
	next, ended = of.again(next, ended)
	s.guess(p.guessed)
	s.place(p, next, ended)
	return next, ended, nil
}

// hand hands a page to the owner, or closes it if ctx ends before.
func (s *slice) hand(ctx context.Context, p *page) error {
	select {
	case s.queue <- p:
		s.sent = p.committed
	case <-ctx.Done():
		p.close()
		return ctx.Err()
	}
	s.goesOn()
	s.single = false
	return nil
}

// awaitEnd waits until the last page of a pass is committed.
func (s *slice) awaitEnd(ctx context.Context, p *page) error {
	select {
	case <-p.committed:
		s.learn(p)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// place sets what a page's place in the pass decides, and moves the plan past it.
func (s *slice) place(p *page, next paginate.Position, ended paginate.Reason) {
	p.before = s.plan
	p.after = s.plan.See(p.seen, p.at.Index == s.pager.First().Index)
	p.after.Next, p.after.Partial, p.ended = next, nil, ended
	p.after.Doubt = p.after.Doubt || p.summary.Skipped
	if ended != paginate.GoesOn {
		p.after.Doubt = p.after.Doubt || p.summary.Doubt != ""
		if s.of != nil {
			p.after.Done = true
		} else {
			p.after = s.fetched(p, s.keep(p.after.End(time.Now()), p.kept))
		}
	}
	s.in.seen[s.stream].page(p, p.after.Done)
	p.id = fmt.Sprintf("%d.%d", s.plan.Pass, p.at.Index)
	if s.of != nil {
		p.id = fmt.Sprintf("%d.w%d.%d", s.plan.Pass, s.window.Number, p.at.Index)
	}
	p.laid, s.laid = s.laid, nil
	p.committed = make(chan struct{})
	s.plan = p.after
}

// beginAgain begins the pass again if the API no longer knows the cursor that it gave: after a long stop, cursors may
// have expired. since has not moved, so nothing is lost, and what has not changed is not written again. Of a position
// that was kept of the pass before, everything is asked for again.
func (s *slice) beginAgain(err error) {
	at := s.plan.Next
	led := at.Cursor != "" && at.Index > 0 || at.From != ""
	gone := led && unknownPosition(err)
	switch {
	case errors.As(err, new(*JobError)):
		s.log.Warn("the pass begins again, with another job", "err", err)
	case gone && at.From != "" && at.Index == 0:
		s.log.Warn("the API does not know the position from which this pass continues: everything is asked for again")
		s.plan.Kept = ""
	case gone, led && errors.As(err, new(*paginate.LoopError)):
		s.log.Warn("the API does not know the position that it gave: the pass begins again at its first page")
	default:
		return
	}
	s.plan = s.begin(s.plan, time.Now())
}

// unknownPosition reports whether an API may say by err that it does not know the position that it was asked for.
func unknownPosition(err error) bool {
	e, ok := errors.AsType[*fetch.Error](err)
	if !ok {
		return false
	}
	switch e.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusGone, http.StatusUnprocessableEntity:
		return true
	}
	return false
}
