package paginate

import (
	"net/url"
	"strconv"

	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/pipeline"
)

// offset addresses pages by the number of records before them: ?offset=200&limit=100.
type offset struct {
	stop
	p *pipeline.OffsetLimit
}

func newOffset(p pipeline.Paginate) Pager {
	if p.Offset == nil {
		return nil
	}
	return offset{newStop(p.Offset.Stop, p.Offset.Limit), p.Offset}
}

func (g offset) Identity() []string { return []string{"offset", g.p.Param} }

func (g offset) First() Position { return Position{At: g.p.Start} }

func (g offset) Stands(p Position) request.Values { return stands(p.At, g.p.Limit) }

func (g offset) URL(base *url.URL, p Position) (*url.URL, error) {
	limit := param{g.p.LimitParam, strconv.Itoa(g.p.Limit)}
	return withParams(base, limit, param{g.p.Param, strconv.FormatInt(p.At, 10)}), nil
}

// Next moves on by what the page gave: an API may give fewer records than asked for, and those between would be lost.
// Records that come twice this way are not written twice. Of a page without records, only as much is passed over as the
// largest page so far had.
func (g offset) Next(p Position, page *Page) (Position, Reason, error) {
	next := p.after(page)
	step := g.step(next.Most)
	next.At = p.At + step
	if n := int64(page.Records); n > 0 && n < g.size {
		next.At = p.At + n
	}
	ended, err := g.ended(p, page, &next, p.At-g.p.Start+step)
	return next, ended, err
}

func (g offset) Guess(p Position) Position {
	return Position{Index: p.Index + 1, At: p.At + g.size}
}

func (g offset) PastEnd(p Position) []int { return pastEnd(p, g.p.PastEnd) }
