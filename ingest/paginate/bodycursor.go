package paginate

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/evidence"
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

func (g bodyCursor) Wants() Wants {
	if g.p.Stop.When != "" {
		return Wants{Fields: [][]string{g.p.Next, g.p.Stop.Field}}
	}
	return Wants{Fields: [][]string{g.p.Next}}
}

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
	if page.Nothing != 0 {
		if p.Index > 0 && page.Nothing == http.StatusOK {
			return next, GoesOn, errors.New("the answer is empty: it has neither records nor a cursor")
		}
		return next, page.noContent(), nil
	}
	text, err := cursorText(page.field())
	if err != nil {
		return next, GoesOn, err
	}
	if g.p.Stop.When != "" && (page.Fields[1] != nil || p.Index == 0 || text == "") {
		ended, err := stop{rule: g.p.Stop}.byFlag(p, page, page.Fields[1])
		switch {
		case err != nil || ended != GoesOn:
			return next, ended, err
		case text == "":
			more := pipeline.FormatPath(g.p.Stop.Field) + " is " + string(page.Fields[1])
			return next, GoesOn, newMoreError(g.p.Next, page, []string{more})
		}
	}
	if text == "" {
		ended, err := g.last(p, page)
		return next, ended, err
	}
	if g.p.Param == "" {
		text, err = resolve(page, text)
	}
	next.Cursor = text
	return next, GoesOn, err
}

// last is a page that gives no cursor. Where the field is there, it says so itself, unless something else in the body
// says the opposite.
func (g bodyCursor) last(p Position, page *Page) (Reason, error) {
	if page.field() != nil {
		if more := evidence.Read(page.Rest).More(); len(more) > 0 {
			return GoesOn, newMoreError(g.p.Next, page, more)
		}
		return NoCursor, nil
	}
	path := pipeline.FormatPath(g.p.Next)
	return absent(p, page, absence{
		lacks: "has no field " + path + " (paginate.cursor.next)", declared: g.p.AbsentEnds, reason: NoCursor,
		hint: "correct the path; or, if the API leaves the field out where there is no other page, " +
			"set paginate.cursor.absent_ends: true",
	})
}

func (g bodyCursor) Shows(page *Page) bool { return page.field() != nil }

func (g bodyCursor) Shown() string { return pipeline.FormatPath(g.p.Next) }

// cursorText is the text of a cursor; empty if there is none: null, false, "" and 0 are how APIs say so.
func cursorText(v jsontext.Value) (string, error) {
	switch {
	case v == nil || v.Kind() == 'n' || v.Kind() == 'f':
		return "", nil
	case v.Kind() == '"':
		text, err := jsontext.AppendUnquote(nil, v)
		return string(text), err
	case v.Kind() == '0':
		if n, ok := number(v); ok && n == 0 {
			return "", nil
		}
		return string(v), nil
	}
	return "", fmt.Errorf("the answer has %s where paginate.cursor.next expects text or a number", evidence.Short(v, 60))
}
