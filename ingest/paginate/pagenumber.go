package paginate

import (
	"net/url"
	"strconv"

	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/pipeline"
)

// pageNumber numbers pages: ?page=2&per_page=100.
type pageNumber struct {
	stop
	p *pipeline.PageNumber
}

func newPageNumber(p pipeline.Paginate) Pager {
	if p.Page == nil {
		return nil
	}
	return pageNumber{newStop(p.Page.Stop, p.Page.Size), p.Page}
}

func (g pageNumber) Identity() []string {
	return []string{"page", g.p.Param, g.p.SizeParam, strconv.Itoa(g.p.Size)}
}

func (g pageNumber) First() Position { return Position{At: g.p.Start} }

func (g pageNumber) Stands(p Position) request.Values { return stands(p.At, g.p.Size) }

func (g pageNumber) URL(base *url.URL, p Position) (*url.URL, error) {
	size := param{g.p.SizeParam, strconv.Itoa(g.p.Size)}
	if g.p.Size <= 0 {
		size.name = ""
	}
	return withParams(base, size, param{g.p.Param, strconv.FormatInt(p.At, 10)}), nil
}

func (g pageNumber) Next(p Position, page *Page) (Position, Reason, error) {
	next := p.after(page)
	next.At = p.At + 1
	ended, err := g.ended(p, page, &next, (p.Index+1)*g.step(next.Most))
	return next, ended, err
}

func (g pageNumber) Guess(p Position) Position {
	return Position{Index: p.Index + 1, At: p.At + 1}
}

func (g pageNumber) PastEnd(p Position) []int { return pastEnd(p, g.p.PastEnd) }
