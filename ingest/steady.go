package ingest

import (
	"errors"

	"github.com/millrace-io/millrace/ingest/paginate"
)

// A record that changes leaves the window of its old time. Where pages have numbers or offsets, those behind it move
// up, and one slips from a page that is to come to one that has come. No later query asks for it, as the window is
// done. So a window of several such pages counts as fetched only if the API counted the same number of records on each
// of its pages, or if two walks over it, one after the other, brought the same records. Else it is cut in two: in the
// end a window has one page.

// errAgain begins a window again.
var errAgain = errors.New("the window is fetched once more")

// mayMove reports whether records may move from page to page.
func (s *slice) mayMove() bool {
	_, numbered := s.pager.(paginate.Addressable)
	return numbered
}

// steadied is what follows a page of a window, given what would otherwise. Its error ends the walk before the page:
// errCut, errAgain.
func (s *slice) steadied(p *page, next paginate.Position, ended paginate.Reason) (paginate.Position, paginate.Reason, error) {
	if p.at.Index == 0 {
		s.walk, s.walks.whole = 0, true
	}
	s.walk += p.ids
	switch {
	case s.of == nil || !s.mayMove() || p.at.Index == 0 || ended == paginate.Capped:
		return next, ended, nil
	case s.pagerCounts() && p.at.Total == next.Total:
		return next, ended, nil
	case s.pagerCounts():
		return next, ended, s.moved(p)
	case ended == paginate.GoesOn:
		return next, ended, nil
	}
	w := &s.walks
	same := w.whole && w.n > 0 && w.last == s.walk
	if w.whole {
		w.n, w.last = w.n+1, s.walk
	}
	switch {
	case same:
		return next, ended, nil
	case w.n > 1:
		return next, ended, s.moved(p)
	}
	return s.pager.First(), paginate.GoesOn, nil
}

// moved cuts a window, or begins it again if it cannot be cut.
func (s *slice) moved(p *page) error {
	if s.cut(p.seen.Clock) {
		return errCut
	}
	s.walks.n = 0
	s.plan = s.begin(s.plan, s.plan.Started)
	return errAgain
}

// walks are those over a window that were made before the one under way.
type walks struct {
	n     int
	last  uint64 // what the last one brought
	whole bool   // the one under way began with the first page
}
