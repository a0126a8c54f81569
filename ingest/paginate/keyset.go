package paginate

import (
	"fmt"
	"net/url"
	"strconv"

	"github.com/millrace-io/millrace/ingest/evidence"
	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/pipeline"
)

// keyset goes on after the last record of a page: ?starting_after=<its id>.
type keyset struct {
	stop
	p *pipeline.Keyset
}

func newKeyset(p pipeline.Paginate) Pager {
	k := p.Keyset
	if k == nil {
		return nil
	}
	return keyset{newStop(k.Stop, k.Size), k}
}

func (g keyset) Identity() []string {
	return []string{"keyset", pipeline.FormatPath(g.p.Field), g.p.Param, g.p.First}
}

func (g keyset) Wants() Wants {
	w := g.stop.Wants()
	w.Last = g.p.Field
	return w
}

func (g keyset) First() Position { return Position{Cursor: g.p.First} }

func (g keyset) Stands(p Position) request.Values {
	values := led(p)
	if p.Cursor == g.p.First {
		values[pipeline.PlaceCursor] = request.Digits(p.Cursor)
	}
	if g.p.Size > 0 {
		values[pipeline.PlaceLimit] = request.Integer(int64(g.p.Size))
	}
	return values
}

func (g keyset) URL(base *url.URL, p Position) (*url.URL, error) {
	size := param{g.p.SizeParam, strconv.Itoa(g.p.Size)}
	after := param{g.p.Param, p.Cursor}
	if p.Cursor == "" {
		after.name = ""
	}
	return withParams(base, size, after), nil
}

// Next goes on after the last record. Where its field is missing, nothing is known of what follows.
func (g keyset) Next(p Position, page *Page) (Position, Reason, error) {
	next := p.after(page)
	ended, err := g.ended(p, page, &next, (p.Index+1)*g.step(next.Most))
	if err != nil || ended != GoesOn {
		return next, ended, err
	}
	if page.Records == 0 { // and yet more follow
		return next, GoesOn, newMoreError(g.path(), page, []string{"a page without records that is not the last: " +
			"there is no record after which the next page begins"})
	}
	if last := page.Last; last == nil || last.Kind() == 'n' || last.Kind() == '{' {
		is := "nothing"
		if last != nil {
			is = evidence.Short(last, 60)
		}
		return next, GoesOn, fmt.Errorf("the last record has %s at %s (paginate.keyset.field), after which the next page begins",
			is, pipeline.FormatPath(g.p.Field))
	}
	v := request.JSON(page.Last)
	next.Cursor, next.JSON = v.Text, v.JSON != nil
	return next, GoesOn, nil
}
