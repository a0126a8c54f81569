package paginate

import (
	"cmp"
	"net/url"

	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/pipeline"
)

// link follows a link in the Link header (RFC 8288).
type link struct {
	rel        string
	params     bool
	absentEnds bool
}

func newLink(p pipeline.Paginate) Pager {
	if p.Link == nil {
		return nil
	}
	return link{cmp.Or(p.Link.Rel, "next"), p.Link.Params, p.Link.AbsentEnds}
}

func (g link) Identity() []string {
	if g.params {
		return []string{"link", "params"}
	}
	return []string{"link"}
}

func (g link) Wants() Wants { return Wants{} }

func (g link) First() Position { return Position{} }

func (g link) Stands(Position) request.Values { return request.Values{} }

func (g link) URL(base *url.URL, p Position) (*url.URL, error) {
	switch {
	case p.Cursor == "":
		return base, nil
	case g.params:
		return merged(base, p.Cursor)
	}
	return parseKept(p.Cursor)
}

func (g link) Next(p Position, page *Page) (Position, Reason, error) {
	next := p.after(page)
	if target := findLink(linkHeader(page), g.rel); target != "" {
		var err error
		if next.Cursor, err = resolve(page, target); err == nil && g.params {
			next.Cursor, err = paramsOf(next.Cursor)
		}
		return next, GoesOn, err
	}
	if page.Nothing != 0 {
		return next, page.noContent(), nil
	}
	lacks := "has no Link header"
	if g.Shows(page) {
		lacks = "has a Link header without the relation " + g.rel
	}
	ended, err := absent(p, page, absence{
		lacks: lacks, declared: g.absentEnds || g.Shows(page), reason: NoLink,
		hint: "set paginate to how this API does it; or, if it leaves the header out where there is no other page, " +
			"set paginate.link.absent_ends: true",
	})
	return next, ended, err
}

// Shows reports whether there is a Link header: one without a next page says that there is none.
func (g link) Shows(page *Page) bool { return page.Header.Get("Link") != "" }

func (g link) Shown() string { return "Link" }
