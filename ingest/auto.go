package ingest

import (
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/pipeline"
)

// With paginate: auto, the first page that shows how pages follow one another decides it, for good: the cursor holds
// it, and a reset forgets it. A page that shows nothing decides nothing.

// pin makes a pagination that was detected the slice's.
func (s *slice) pin(p *pipeline.Paginate) {
	s.paging, s.pager = p, paginate.New(*p)
}

// detect takes the pagination that a page shows, if it is not known, and what the page says of it.
func (s *slice) detect(p *page) {
	if !s.stream.Ingest.Paginate.Auto || p.summary.Skipped {
		return
	}
	if d, ok := s.pager.(paginate.Detector); ok {
		took, from, found := d.Detect(&p.summary)
		if !found {
			return
		}
		s.pin(&took)
		first := s.pager.First()
		first.From, first.Empty = p.at.From, p.at.Empty
		p.at = first
		s.plan.Auto, s.plan.Next = &took, first
		s.plan.Request = s.requestHash(s.plan)
		s.in.seen[s.stream].detected.Do(func() {
			s.log.Info("pages follow one another as the first one shows; this stays so until the stream is reset, or paginate is declared",
				"by", from, "paginate", declared(&took))
		})
	}
	p.summary.Fields = paginate.Found(s.pager, &p.summary)
}

// declared is a pagination that was detected as it would be declared.
func declared(p *pipeline.Paginate) string {
	stop := func(r pipeline.StopRule) string {
		switch {
		case r.Header != "":
			return fmt.Sprintf(", stop: {%s_header: %s}", r.When, r.Header)
		case r.When != "":
			return fmt.Sprintf(", stop: {%s: %s}", r.When, pipeline.FormatPath(r.Field))
		}
		return ""
	}
	switch {
	case p.Link != nil:
		return "{link: {absent_ends: true}}"
	case p.Cursor != nil && p.Cursor.Param == "":
		return fmt.Sprintf("{cursor: {next: %s, absent_ends: true}}", pipeline.FormatPath(p.Cursor.Next))
	case p.Cursor != nil:
		return fmt.Sprintf("{cursor: {next: %s, param: %s, absent_ends: true}}", pipeline.FormatPath(p.Cursor.Next), p.Cursor.Param)
	case p.Offset != nil:
		return fmt.Sprintf("{offset: {param: %s, limit: %d, start: %d%s}}", p.Offset.Param, p.Offset.Limit, p.Offset.Start, stop(p.Offset.Stop))
	case p.Page != nil:
		size := ""
		if p.Page.Size > 0 {
			size = fmt.Sprintf(", size: %d", p.Page.Size)
		}
		return strings.Join([]string{fmt.Sprintf("{page: {param: %s, start: %d", p.Page.Param, p.Page.Start), size, stop(p.Page.Stop), "}}"}, "")
	}
	return ""
}
