package paginate

import (
	"errors"
	"net/url"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/pipeline"
)

// bodyCursor sends back what a page holds, as a parameter, or follows it as a URL.
type bodyCursor struct{ p *pipeline.BodyCursor }

func newBodyCursor(p pipeline.Paginate) Pager {
	if p.Cursor == nil {
		return nil
	}
	return bodyCursor{p.Cursor}
}

func (g bodyCursor) Identity() []string { return []string{"cursor", g.p.Param} }

func (g bodyCursor) Wants() Wants { return Wants{Fields: [][]string{g.p.Next}} }

func (g bodyCursor) First() Position { return Position{} }

func (g bodyCursor) URL(base *url.URL, p Position) (*url.URL, error) {
	switch {
	case p.Cursor == "":
		return base, nil
	case g.p.Param != "":
		return withParams(base, param{g.p.Param, p.Cursor}), nil
	}
	return parseKept(p.Cursor)
}

func (g bodyCursor) Next(p Position, page *Page) (Position, Reason, error) {
	next := p.after(page)
	text, err := cursorText(page.field())
	if err == nil && text != "" && g.p.Param == "" {
		text, err = resolve(page, text)
	}
	next.Cursor = text
	return next, endedIf(text == "", NoCursor), err
}

// cursorText is the text of a cursor; empty if there is none.
func cursorText(v jsontext.Value) (string, error) {
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
