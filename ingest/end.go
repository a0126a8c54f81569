package ingest

import (
	"errors"
	"net/http"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/paginate"
)

// follows says what follows a page, or why the pass ends with it. Its error means that neither is known: then the pass
// goes no further, and since does not move.
func (s *slice) follows(p *page, loop *paginate.Loop) (paginate.Position, paginate.Reason, error) {
	if p.job != nil {
		return p.job.next, p.job.ended, nil
	}
	s.detect(p)
	leader, leads := s.pager.(paginate.Leader)
	if leads {
		p.summary.Shown = s.shown(leader)
		if leader.Shows(&p.summary) {
			s.show(leader)
		}
	}
	if s.child != nil && !s.nothing && !p.summary.Skipped && !p.answer.Ruled && p.at.Index == s.pager.First().Index {
		s.child.feed.kids.found()
	}
	if p.summary.Skipped {
		return s.skip(p, loop)
	}
	next, ended, err := s.pager.Next(p.at, &p.summary)
	if err == nil && ended == paginate.GoesOn && s.known(p) {
		ended = paginate.Known
	}
	if err == nil {
		ended, err = loop.Check(p.at, &next, ended, p.hash, p.summary.More)
	}
	if err != nil {
		return next, ended, err
	}
	if keeper, ok := s.pager.(paginate.Keeper); ok && ended != paginate.GoesOn {
		if p.kept, err = keeper.Kept(&p.summary); err != nil {
			return next, ended, err
		}
	}
	s.doubt(p.summary.Doubt)
	return next, ended, nil
}

// skip is follows for a page that the pipeline file says is passed over.
func (s *slice) skip(p *page, loop *paginate.Loop) (paginate.Position, paginate.Reason, error) {
	if s.made && p.at.Index == s.pager.First().Index {
		if s.child != nil {
			s.child.passedOver(p)
		}
		p.summary.Skipped = !s.nothing
		return p.at, paginate.PassedOver, nil
	}
	s.doubt("a page was passed over, as ingest.errors says: " + p.url)
	next, ended := paginate.Skip(s.pager, p.at)
	ended, err := loop.Check(p.at, &next, ended, p.hash, false)
	return next, ended, err
}

// first is where the pass after c begins: where the one before ended, if the API gives a position that outlives it.
func (s *slice) first(c cursor.Cursor) paginate.Position {
	keeper, ok := s.pager.(paginate.Keeper)
	if !ok || c.Kept == "" || c.KeptOf != s.keptOf() {
		return s.pager.First()
	}
	return keeper.From(c.Kept)
}

// keptOf names the request that a kept position belongs to.
func (s *slice) keptOf() string { return s.requestHash(cursor.Cursor{}) }

// keep notes in c, the cursor after the last page of a pass, what that page gave to the passes to come.
func (s *slice) keep(c cursor.Cursor, kept string) cursor.Cursor {
	if kept != "" {
		c.Kept, c.KeptOf = kept, s.keptOf()
	}
	return c
}

// repeats reports whether the pipeline file says that the API gives its last page again past the end.
func (s *slice) repeats() bool {
	p := s.paging
	return p.Page != nil && p.Page.Stop.When == "repeat" || p.Offset != nil && p.Offset.Stop.When == "repeat"
}

// shown reports whether an answer of this slice, ever, or of this stream, in this process, has had what leads to the
// next page.
func (s *slice) shown(leader paginate.Leader) bool {
	return s.in.seen[s.stream].leads.Load() || s.plan.Shown == leader.Shown()
}

func (s *slice) show(leader paginate.Leader) {
	s.plan.Shown = leader.Shown()
	if !s.in.seen[s.stream].leads.Swap(true) {
		s.in.notices.Clear(s.stream.Name, noticePaginate)
	}
}

// noticePaginate is the kind of the notice that a pass has ended and something speaks against that.
const noticePaginate = "paginate"

// doubt tells what speaks against the end of a pass; nothing if it is empty.
func (s *slice) doubt(text string) { s.notice(noticePaginate, &s.doubted, text) }

// notice raises a notice of a kind, or clears it if the text is empty and this slice has raised it, which told
// remembers.
func (s *slice) notice(kind string, told *bool, text string) {
	switch {
	case text != "":
		*told = true
		s.in.notices.Raise(s.stream.Name, kind, s.client.Redactor().Text(text), "slice", s.name)
	case *told:
		*told = false
		s.in.notices.Clear(s.stream.Name, kind)
	}
}

// pastEnd lists the statuses that mean that there is no page at a position.
func (s *slice) pastEnd(at paginate.Position) []int {
	ending, ok := s.pager.(paginate.Ending)
	if !ok {
		return nil
	}
	return ending.PastEnd(at)
}

// hintAtEnd adds to an error of a page after the first how a pipeline file says that it is an end.
func (s *slice) hintAtEnd(err error, at paginate.Position) {
	var e *fetch.Error
	if _, ok := s.pager.(paginate.Ending); !ok || at.Index == 0 || !errors.As(err, &e) {
		return
	}
	switch e.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusGone, http.StatusRequestedRangeNotSatisfiable,
		http.StatusUnprocessableEntity:
		e.Hint = "if this is how the API answers for a page after the last one, say so with past_end in ingest.paginate"
	}
}
