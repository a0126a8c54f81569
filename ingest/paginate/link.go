package paginate

import (
	"net/url"
	"strings"

	"github.com/millrace-io/millrace/pipeline"
)

// link follows a link in the Link header (RFC 8288).
type link struct{ rel string }

func newLink(p pipeline.Paginate) Pager {
	if p.Link == nil {
		return nil
	}
	if p.Link.Rel == "" {
		return link{"next"}
	}
	return link{p.Link.Rel}
}

func (g link) Identity() []string { return []string{"link"} }

func (g link) Wants() Wants { return Wants{} }

func (g link) First() Position { return Position{} }

func (g link) URL(base *url.URL, p Position) (*url.URL, error) {
	if p.Cursor == "" {
		return base, nil
	}
	return parseKept(p.Cursor)
}

func (g link) Next(p Position, page *Page) (Position, Reason, error) {
	next := p.after(page)
	target := findLink(strings.Join(page.Header.Values("Link"), ", "), g.rel)
	if target == "" {
		return next, NoLink, nil
	}
	var err error
	next.Cursor, err = resolve(page, target)
	return next, GoesOn, err
}
