package ingest

import (
	"fmt"
)

// Of an API that answers with the newest records first, a pass goes down until it comes to what is known: what the pass
// before began with, less the look-back. Records that arrive meanwhile push others to later pages, where they come once
// more; what arrives above is the next pass's. since moves only when the pass has come down there, so that a pass which
// was interrupted goes on where it was, and one that begins again goes down as far.

// downward reports whether records come newest first.
func (s *slice) downward() bool {
	i := s.stream.Ingest.Incremental
	return i != nil && i.Order == "newest_first" && s.of == nil
}

// bottom is the value below which the pass need not go; ok is false if it goes to the end.
func (s *slice) bottom() (from int64, ok bool) {
	i := s.stream.Ingest.Incremental
	switch {
	case !s.downward() || s.plan.Whole:
		return 0, false
	case s.plan.Since != nil:
		return s.reader.scale.Floor(s.plan.Since, s.plan.Form), true
	case i.Start != "":
		from, err := s.reader.scale.Parse(i.Start)
		return from, err == nil
	}
	return 0, false
}

// stops reports whether the pass under way is to end where records are known, so that no page is asked for ahead.
func (s *slice) stops() bool {
	_, ok := s.bottom()
	return ok
}

const noticeOrder = "order"

// known reports whether all that follows a page of the pass is known: the page comes down to what is older, or is older
// as a whole. A record that is out of order, as one that is pinned to the top, does not count; nor does a page that
// comes oldest first.
func (s *slice) known(p *page) bool {
	from, ok := s.bottom()
	seen := &p.seen
	if !s.downward() || seen.High == nil {
		return false
	}
	if oldestFirst := !seen.Mixed && *seen.Low < *seen.High; oldestFirst {
		s.in.notices.Raise(s.stream.Name, noticeOrder, fmt.Sprintf("incremental.order says that the newest records come first, and on a page they come oldest first, by %s: "+
			"each pass fetches all pages", s.stream.Ingest.Incremental.Field), "slice", s.name)
		return false
	}
	s.in.notices.Clear(s.stream.Name, noticeOrder)
	return ok && (*seen.High < from || !seen.Ascends && *seen.Last < from)
}
