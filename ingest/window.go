package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/internal/stage"
)

// A stream with windows has its past fetched beside its passes: what lies between incremental.start and since is cut
// into windows, each a query with an end, and several are fetched at once. Each window is a slice of its own, but for
// its cursor, which is a part of that of the slice whose past it is. The first pass begins an hour before now, and so
// fetches what is new while the back-fill goes on; requests of the back-fill wait for those of passes.

// errDeep says that a query has more records than the API shows of one.
var errDeep = errors.New("the query has more records than the API shows of one, and cannot be cut yet")

// errCut ends a pass, or a window, of which what is left is fetched in smaller windows.
var errCut = errors.New("what is left is fetched in smaller windows")

// windowed reports whether the slice has its past fetched in windows.
func (s *slice) windowed() bool { return s.back != nil }

// layOut is where the pass after c asks from, at a time, and what before that is fetched in windows.
func (s *slice) layOut(c cursor.Cursor, at time.Time) cursor.Cursor {
	scale, rule := s.reader.scale, s.stream.Ingest.Incremental
	now := at.UnixMicro()
	from := scale.Floor(c.Since, c.Form)
	switch {
	case c.Since == nil:
		var err error
		if from, err = scale.Parse(rule.Start); err != nil || now <= from {
			return c
		}
	case scale.Step(scale.Step(*c.Since, rule.Window.Step), rule.Window.Step) > now:
		return c // less than two windows
	}
	s.laid = []cursor.Stretch{{Span: cursor.Span{From: from, To: now}}}
	if c.Since == nil {
		c.Form = s.back.form
	}
	c.Since = &now
	return c
}

// beginPass begins the pass after s.plan.
func (s *slice) beginPass(now time.Time) {
	c := s.plan
	if s.windowed() {
		was := c
		s.was = &was
		c = s.layOut(c, now.Add(-cursor.ClockDoubt))
	}
	s.plan = s.begin(c, now)
}

// late reports whether the first page of a pass shows that the API's clock is behind the time from which the pass asks,
// as ours is wrong. Then the pass begins again, and asks from there.
func (s *slice) late(p *page) bool {
	clock := p.seen.Clock
	if len(s.laid) == 0 || s.was == nil || clock.IsZero() || clock.UnixMicro() >= *s.plan.Since {
		return false
	}
	s.laid = nil
	s.plan = s.begin(s.layOut(*s.was, clock), time.Now())
	return true
}

// deep reports whether a query has, or may have, more than the API shows of one: what follows the page is beyond that,
// or the pages end just there. Many APIs end so in silence, and some count no further, either.
func (s *slice) deep(p *page, next paginate.Position, ended paginate.Reason) bool {
	i := s.stream.Ingest.Incremental
	if i == nil || i.Window == nil || i.Window.MaxResults == 0 {
		return false
	}
	most := int64(i.Window.MaxResults)
	if ended == paginate.GoesOn {
		return next.Seen >= most || next.Total > most && s.pagerCounts()
	}
	known := ended == paginate.Known || ended == paginate.NoNews || ended == paginate.PassedOver
	return !known && shownWith(p, ended) >= most
}

// shownWith is how many records a query has shown, those of p included, which ends it so: not, if p is the page before
// once more.
func shownWith(p *page, ended paginate.Reason) int64 {
	if ended == paginate.Repeated {
		return p.at.Seen
	}
	return p.at.Seen + int64(p.summary.Records)
}

// pagerCounts reports whether the total that a page tells is one of records.
func (s *slice) pagerCounts() bool {
	p := s.paging
	return p.Page != nil && p.Page.Stop.When == "total" || p.Offset != nil && p.Offset.Stop.When == "total" ||
		p.Keyset != nil && p.Keyset.Stop.When == "total"
}

// tooDeep is what becomes of a pass, or a window, for which the API has answered with an error: errCut, if a rule says
// that it asks for too much and it was cut, or if it is a window that cannot be cut; else err.
func (s *slice) tooDeep(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*fetch.Error](err); !ok || !e.Splits() {
		return err
	}
	if s.cut(s.plan.Clock) {
		return errCut
	}
	if s.of == nil {
		s.plan = s.begin(s.plan, time.Now()) // by the time that it is asked again, it can be cut
		return err
	}
	if s.sent != nil {
		select {
		case <-s.sent:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.lack()
	s.of.back.drop(s.window.Number)
	s.of.settle()
	return errCut
}

// beyond is why a page ends its pass, given why it would otherwise. Its error ends the pass before the page: errCut, as
// what is left is fetched in smaller windows.
func (s *slice) beyond(p *page, next paginate.Position, ended paginate.Reason) (paginate.Reason, error) {
	switch {
	case !s.deep(p, next, ended):
		return ended, nil
	case s.cut(p.seen.Clock):
		return ended, errCut
	case s.of == nil: // by the time that it is asked again, it can be cut
		s.plan = s.begin(s.plan, time.Now())
		return ended, errDeep
	case ended == paginate.GoesOn && next.Seen < int64(s.stream.Ingest.Incremental.Window.MaxResults):
		return ended, nil // all that the API shows of it
	case ended == paginate.TotalReached && s.pagerCounts() && p.at.Total > int64(s.stream.Ingest.Incremental.Window.MaxResults):
		return ended, nil // it shows more than max_results, and there are just so many
	}
	s.lack()
	return paginate.Capped, nil
}

// cut has what the slice asks for fetched in windows that are smaller; clock is the time by the API's clock, zero if it
// is not known. It returns false if there is nothing smaller.
func (s *slice) cut(clock time.Time) bool {
	if s.of != nil {
		return s.of.back.split(*s.window)
	}
	if !s.windowed() || s.plan.Since == nil {
		return false
	}
	to := s.plan.Started.Add(-cursor.ClockDoubt)
	if !clock.IsZero() {
		to = clock
	}
	whole := cursor.Span{From: s.reader.scale.Floor(s.plan.Since, s.plan.Form), To: to.UnixMicro()}
	if _, ok := s.reader.scale.Half(whole, s.back.form); !ok || whole.To <= *s.plan.Since {
		return false
	}
	s.laid, s.was = append(s.laid, cursor.Stretch{Span: whole}), nil
	c := s.plan
	c.Since = &whole.To
	s.plan = s.begin(c, time.Now())
	return true
}

// lack tells that the API does not show all that a window has.
func (s *slice) lack() {
	s.of.back.lacks(s.window.Span)
	s.of.tellLacking()
}

const noticeMaxResults = "max_results"

// tellLacking tells of the windows that the API does not show whole.
func (s *slice) tellLacking() {
	lacking := s.back.state()
	if lacking == nil || len(lacking.Lacking) == 0 {
		return
	}
	w := lacking.Lacking[0]
	since, until := s.reader.scale.Bounds(w, s.back.form, false, false)
	s.in.notices.Raise(s.stream.Name, noticeMaxResults, fmt.Sprintf("the API has as many records from %s to %s as it shows of one query, or more, and this window cannot be cut: "+
		"those beyond max_results are MISSING; windows of which that is known: %d. Cut the stream further, by slices, and reset it", since, until, len(lacking.Lacking)),
		"slice", s.name)
}

// fill fetches the windows of the slice, several at a time, until ctx ends.
func (s *slice) fill(ctx context.Context) {
	s.tellLacking()
	lanes := make(chan struct{}, max(1, s.back.rule.AtOnce))
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case lanes <- struct{}{}:
		case <-ctx.Done():
			return
		}
		w, err := s.back.await(ctx)
		if err != nil {
			return
		}
		running.Go(func() {
			defer func() { <-lanes }()
			s.fetchWindow(ctx, w)
		})
	}
}

// fetchWindow fetches a window. It waits out whatever is wrong with the API.
func (s *slice) fetchWindow(ctx context.Context, w cursor.Window) {
	l, err := s.lane(w)
	if err != nil {
		s.waiting(err) // the slice itself was made in the same way
		return
	}
	defer l.goesOn()
	defer l.in.waits.Drop(l.who)
	for ctx.Err() == nil {
		err := l.gate.enter(ctx)
		if err == nil {
			err = l.pass(ctx)
		}
		switch {
		case errors.Is(err, errPaused), errors.Is(err, errAgain):
			l.goesOn()
		case err == nil, errors.Is(err, errCut):
			return
		case ctx.Err() != nil:
		default:
			l.waiting(err)
			l.single = true
			l.beginAgain(err)
			_ = stage.Sleep(ctx, max(l.stream.Ingest.HTTP.Retry.Max, minPause))
		}
	}
}

// lane is a slice that fetches a window of s.
func (s *slice) lane(w cursor.Window) (*slice, error) {
	l := &slice{
		in: s.in, stream: s.stream, name: s.name, key: s.key, who: fmt.Sprintf("%s window %d", s.who, w.Number), template: s.template, host: s.host,
		pager: s.pager, paging: s.paging, reader: s.reader, log: s.log, metrics: s.metrics, queue: s.queue, gate: s.gate, quoted: s.quoted, shared: s.shared, full: s.full,
		added: s.added, made: s.made, written: s.written, of: s, window: &w,
	}
	if err := l.connect(); err != nil {
		return nil, err
	}
	l.client.Low = true
	l.plan = w.Begin(s.back.last(), s.back.form, s.pager.First())
	l.plan.Request = l.requestHash(l.plan)
	if w.Request == l.plan.Request && (!s.mayMove() || s.pagerCounts()) {
		l.plan.Next, l.plan.Partial = w.Next, w.Partial
	}
	return l, nil
}

// walkedWindow is the next window of a slice that is only looked at; nil: there is none.
func (s *slice) walkedWindow() (*slice, error) {
	if s.plan.Done {
		s.beginPass(time.Now())
		s.back.add(s.laid...)
		s.back.committed(s.plan)
	}
	w, ok := s.back.next()
	if !ok {
		return nil, nil //nolint:nilnil // as the comment says
	}
	return s.lane(w)
}

// settled reports whether nothing is left to fetch of the slice's past.
func (s *slice) settled() bool { return s.back == nil || s.back.settled() }

// settle ends a pass, for those who wait for one, if nothing is left to fetch of the slice's past.
func (s *slice) settle() bool {
	if !s.settled() {
		return false
	}
	if last := s.back.last(); last.Done && !last.Ended.Before(s.in.started) {
		s.in.passEnded(s.key)
	}
	return true
}

// filled notes what a page in the transaction in hand changes in what is left of the past; after is the cursor after
// it.
func (p *page) filled(after cursor.Cursor) {
	s := p.slice
	switch {
	case s.of != nil:
		s.of.back.page(s.window.Number, after)
	case s.back != nil && p.laidIn != s.back:
		s.back.add(p.laid...)
		p.laidIn = s.back
	}
}

// filledOne notes that a window is fetched and committed. It tells how far the back-fill is, now and then, and when it
// has ended.
func (s *slice) filledOne() {
	s.metrics.windows.Inc()
	if s.settle() {
		s.log.Info("back-fill ended: what lies before the first pass is fetched")
		return
	}
	if time.Since(s.back.told) >= quietPasses {
		s.back.told = time.Now()
		s.log.Info("back-fill continues", "left", s.back.left().Round(time.Second).String())
	}
}

// unwindowed is c for a stream that has no windows any more: what was left of them is asked for by its passes.
func (s *slice) unwindowed(c cursor.Cursor) cursor.Cursor {
	if i := s.stream.Ingest.Incremental; i != nil && i.Window != nil {
		return c
	}
	if from, ok := c.Windows.Lowest(); ok && c.Since != nil && from < *c.Since {
		c.Since = &from
		if !c.Done {
			c.Request = ""
		}
	}
	c.Windows = nil
	return c
}
