package paginate

import (
	"net/url"
	"strings"

	"github.com/millrace-io/millrace/ingest/evidence"
	"github.com/millrace-io/millrace/ingest/request"
)

// single is a resource that is one page.
type single struct{}

func (single) Identity() []string { return nil }

func (single) Wants() Wants { return Wants{} }

func (single) First() Position { return Position{} }

func (single) Stands(Position) request.Values { return request.Values{} }

func (single) URL(base *url.URL, _ Position) (*url.URL, error) { return base, nil }

func (single) Next(p Position, page *Page) (Position, Reason, error) {
	body := evidence.Read(page.Rest)
	found := append(body.More(), body.Beyond(int64(page.Records))...)
	if link := findLink(linkHeader(page), "next"); link != "" {
		found = append(found, "the Link header names a next page")
	}
	n := int64(page.Records)
	if asked := evidence.AsAsked(page.Asked, n); asked != "" && !body.NoMore() && !body.Total(n) {
		found = append(found, asked)
	}
	if len(found) > 0 && page.Nothing == 0 {
		page.Doubt = "the pass is one page, because ingest.paginate is not set, but there seems to be more: " +
			strings.Join(found, ", ")
	}
	return p.after(page), OnlyPage, nil
}
