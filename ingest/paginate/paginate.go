package paginate

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/millrace-io/millrace/pipeline"
)

// Position is where a page is in its pass.
type Position struct {
	Index  int64  `json:"index"`            // of the page in its pass, from 0
	At     int64  `json:"at,omitzero"`      // page number or offset, where pages have one
	Cursor string `json:"cursor,omitempty"` // cursor, or absolute URL, that the page before gave; empty: the first page
	Seen   int64  `json:"seen,omitzero"`    // records on the pages before this one
}

// Page is what a page said.
type Page struct {
	Records int
	Field   jsontext.Value // what [Pager.Fields] asked for; nil: absent
	URL     *url.URL       // of the answer, to resolve relative URLs
	Link    string         // Link headers, joined by commas
}

// Pager turns positions into URLs and pages into positions. It may be used concurrently.
type Pager struct {
	p    pipeline.Paginate
	stop pipeline.StopRule
	size int64 // records asked for; 0: not known
}

// New returns the pager of a stream. p has at most one field set.
func New(p pipeline.Paginate) *Pager {
	g := &Pager{p: p}
	switch {
	case p.Page != nil:
		g.stop, g.size = p.Page.Stop, int64(p.Page.Size)
	case p.Offset != nil:
		g.stop, g.size = p.Offset.Stop, int64(p.Offset.Limit)
	}
	if g.stop.When == "" || g.stop.When == "short" && g.size == 0 {
		g.stop.When = "empty"
	}
	return g
}

// Fields is the path of object keys to the value of a page that says what follows; nil: none is needed.
func (g *Pager) Fields() []string {
	switch {
	case g.p.Cursor != nil:
		return g.p.Cursor.Next
	case g.stop.When == "total" || g.stop.When == "has_more":
		return g.stop.Field
	}
	return nil
}

// First is where a pass begins.
func (g *Pager) First() Position {
	switch {
	case g.p.Page != nil:
		return Position{At: g.p.Page.Start}
	case g.p.Offset != nil:
		return Position{At: g.p.Offset.Start}
	}
	return Position{}
}

// Addressable reports whether a page can be asked for before the one before it has answered.
func (g *Pager) Addressable() bool { return g.p.Page != nil || g.p.Offset != nil }

// Guess is the position after a full page at p, for pagers that are [Pager.Addressable].
func (g *Pager) Guess(p Position) Position {
	step := int64(1)
	if g.p.Offset != nil {
		step = g.size
	}
	return Position{Index: p.Index + 1, At: p.At + step, Seen: p.Seen + g.size}
}

// URL is the page at p of the resource at base, a URL with all parameters that do not belong to the pagination. A
// position that is itself a URL replaces base.
func (g *Pager) URL(base *url.URL, p Position) (*url.URL, error) {
	u := *base
	set := func(param, value string) {
		if param != "" {
			q := u.Query()
			q.Set(param, value)
			u.RawQuery = q.Encode()
		}
	}
	switch {
	case g.p.Page != nil:
		if g.p.Page.Size > 0 {
			set(g.p.Page.SizeParam, strconv.Itoa(g.p.Page.Size))
		}
		set(g.p.Page.Param, strconv.FormatInt(p.At, 10))
	case g.p.Offset != nil:
		set(g.p.Offset.LimitParam, strconv.Itoa(g.p.Offset.Limit))
		set(g.p.Offset.Param, strconv.FormatInt(p.At, 10))
	case p.Cursor == "":
	case g.p.Cursor != nil && g.p.Cursor.Param != "":
		set(g.p.Cursor.Param, p.Cursor)
	default:
		next, err := url.Parse(p.Cursor)
		if err != nil {
			return nil, errors.New("the next page's URL is malformed")
		}
		return next, nil
	}
	return &u, nil
}

// Next is the position after the page at p, which said page; more is false if it was the last. An error means that
// the page does not say what the pipeline file expects of it, so that going on could lose pages in silence.
func (g *Pager) Next(p Position, page Page) (next Position, more bool, err error) {
	next = Position{Index: p.Index + 1, Seen: p.Seen + int64(page.Records)}
	switch {
	case g.Addressable():
		more, err = g.follows(next.Seen, page)
		next.At = p.At + 1
		if g.p.Offset != nil {
			// An API may give fewer records than asked for. Were the offset moved on by what was asked for, those
			// between would be lost; records that come twice this way are not written twice.
			next.At = p.At + g.size
			if n := int64(page.Records); n > 0 && (n < g.size || g.size == 0) {
				next.At = p.At + n
			}
		}
	case g.p.Cursor != nil:
		next.Cursor, err = cursor(page.Field)
		if err == nil && next.Cursor != "" && g.p.Cursor.Param == "" {
			next.Cursor, err = resolve(page.URL, next.Cursor)
		}
		more = next.Cursor != ""
	case g.p.Link != nil:
		rel := g.p.Link.Rel
		if rel == "" {
			rel = "next"
		}
		if l := findLink(page.Link, rel); l != "" {
			next.Cursor, err = resolve(page.URL, l)
		}
		more = next.Cursor != ""
	}
	return next, more, err
}

// follows applies the stop rule; seen counts the records of the pass with those of page.
func (g *Pager) follows(seen int64, page Page) (bool, error) {
	switch g.stop.When {
	case "short":
		return int64(page.Records) >= g.size, nil
	case "total":
		total, err := strconv.ParseInt(strings.Trim(string(page.Field), `"`), 10, 64)
		if err != nil {
			return false, g.fieldError(page.Field, "the number of records")
		}
		return page.Records > 0 && seen < total, nil
	case "has_more":
		switch string(page.Field) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return false, g.fieldError(page.Field, "true or false")
	}
	return page.Records > 0, nil
}

// Last says, from the total that a page at p gave, how many pages a pass can have at most; ok is false if no page says so.
func (g *Pager) Last(page Page) (pages int64, ok bool) {
	if g.stop.When != "total" || g.size == 0 {
		return 0, false
	}
	total, err := strconv.ParseInt(strings.Trim(string(page.Field), `"`), 10, 64)
	return (total + g.size - 1) / g.size, err == nil
}

// FieldError says that a page lacks what tells whether another one follows.
type FieldError struct {
	Path string
	Is   string
	Want string
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("the answer has %s at %q, where paginate expects %s", e.Is, e.Path, e.Want)
}

func (g *Pager) fieldError(v jsontext.Value, want string) error {
	return newFieldError(g.stop.Field, v, want)
}

func newFieldError(path []string, v jsontext.Value, want string) error {
	is := "nothing"
	switch {
	case len(v) > 60:
		is = "a long value"
	case v != nil:
		is = string(v)
	}
	return &FieldError{Path: strings.Join(path, "."), Is: is, Want: want}
}

// cursor is the text of a cursor; empty if there is none.
func cursor(v jsontext.Value) (string, error) {
	switch {
	case v == nil || v.Kind() == 'n' || v.Kind() == 'f':
		return "", nil
	case v.Kind() == '"':
		text, err := jsontext.AppendUnquote(nil, v)
		return string(text), err
	case v.Kind() == '0':
		return string(v), nil
	}
	return "", errors.New("the answer has an object or array where paginate.cursor.next expects text or a number")
}

func resolve(base *url.URL, next string) (string, error) {
	u, err := url.Parse(next)
	if err != nil {
		return "", errors.New("the next page's URL is malformed")
	}
	u = base.ResolveReference(u)
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("the next page's URL is not one of HTTP: scheme %q", u.Scheme)
	}
	u.Fragment = ""
	return u.String(), nil
}
