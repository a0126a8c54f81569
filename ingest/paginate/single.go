package paginate

import "net/url"

// single is a resource that is one page.
type single struct{}

func (single) Identity() []string { return nil }

func (single) Wants() Wants { return Wants{} }

func (single) First() Position { return Position{} }

func (single) URL(base *url.URL, _ Position) (*url.URL, error) { return base, nil }

func (single) Next(p Position, page *Page) (Position, Reason, error) {
	return p.after(page), OnlyPage, nil
}
