package paginate

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/evidence"
	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/pipeline"
)

// bodyCursor sends back what a page holds, in its body or in a header, or follows it as a URL.
type bodyCursor struct {
	p  *pipeline.BodyCursor
	as string

	next, stop, keep int // index of the field in Page.Fields; -1: there is none
}

// keeping is a [bodyCursor] whose position outlives the pass.
type keeping struct{ bodyCursor }

func newBodyCursor(p pipeline.Paginate) Pager {
	c := p.Cursor
	if c == nil {
		return nil
	}
	g := bodyCursor{p: c, as: c.As, next: -1, stop: -1, keep: -1}
	if g.as == "" {
		g.as = pipeline.CursorValue
		if c.Param == "" && !c.Placed {
			g.as = pipeline.CursorURL
		}
	}
	n := 0
	for _, field := range []struct {
		at    *int
		there bool
	}{{&g.next, c.Next != nil}, {&g.stop, c.Stop.When != ""}, {&g.keep, c.Keep != nil}} {
		if field.there {
			*field.at = n
			n++
		}
	}
	if c.Keep != nil {
		return keeping{g}
	}
	return g
}

func (g bodyCursor) Identity() []string {
	id := []string{"cursor", g.p.Param}
	if g.as != pipeline.CursorValue && g.as != pipeline.CursorURL || g.p.Take != "" || g.p.First != "" {
		id = append(id, g.as, g.p.Take, g.p.First)
	}
	if g.p.Keep != nil {
		id = append(id, "keep", g.p.Keep.Param)
	}
	return id
}

func (g bodyCursor) Wants() Wants {
	var w Wants
	if g.next >= 0 {
		w.Fields = append(w.Fields, g.p.Next)
	}
	if g.stop >= 0 {
		w.Fields = append(w.Fields, g.p.Stop.Field)
	}
	if g.keep >= 0 {
		w.Fields = append(w.Fields, g.p.Keep.Field)
	}
	return w
}

func (g bodyCursor) First() Position { return Position{Cursor: g.p.First} }

func (g bodyCursor) Stands(p Position) request.Values { return led(p) }

func (g bodyCursor) URL(base *url.URL, p Position) (*url.URL, error) {
	if g.p.Keep != nil && g.p.Keep.Param != "" && p.From != "" {
		base = withParams(base, param{g.p.Keep.Param, p.From})
	}
	switch {
	case p.Cursor == "":
		return base, nil
	case g.as == pipeline.CursorURL:
		return parseKept(p.Cursor)
	case g.as == pipeline.CursorParams, g.as == pipeline.CursorMembers:
		return merged(base, p.Cursor)
	case g.p.Param != "":
		return withParams(base, param{g.p.Param, p.Cursor}), nil
	}
	return base, nil // it stands where {cursor} is
}

// value is what a page gives as the cursor; nil: nothing.
func (g bodyCursor) value(page *Page) jsontext.Value {
	switch {
	case g.next >= 0 && page.Nothing != 0: // there is no body
		return nil
	case g.next >= 0:
		return page.Fields[g.next]
	}
	text := page.Header.Get(g.p.Header)
	if text == "" {
		return nil
	}
	quoted, err := jsontext.AppendQuote(nil, text)
	if err != nil {
		return jsontext.Value(strconv.QuoteToASCII(text))
	}
	return quoted
}

// name is where the cursor is.
func (g bodyCursor) name() string {
	return cmp.Or(g.p.Header, pipeline.FormatPath(g.p.Next))
}

// path is where the cursor is, as errors name it.
func (g bodyCursor) path() []string {
	if g.next < 0 {
		return []string{"header " + g.p.Header}
	}
	return g.p.Next
}

func (g bodyCursor) Next(p Position, page *Page) (Position, Reason, error) {
	next := p.after(page)
	if page.Nothing != 0 {
		if p.Index > 0 && page.Nothing == http.StatusOK {
			return next, GoesOn, errors.New("the answer is empty: it has neither records nor a cursor")
		}
		return next, page.noContent(), nil
	}
	text, isJSON, err := g.cursor(page)
	if err != nil {
		return next, GoesOn, err
	}
	if g.stop >= 0 {
		flag := page.Fields[g.stop]
		if flag != nil || p.Index == 0 || text == "" {
			ended, err := stop{rule: g.p.Stop}.byFlag(p, page, flag)
			switch {
			case err != nil || ended != GoesOn:
				return next, ended, err
			case text == "":
				more := pipeline.FormatPath(g.p.Stop.Field) + " is " + string(flag)
				return next, GoesOn, newMoreError(g.path(), page, []string{more})
			}
		}
	}
	if text == "" {
		ended, err := g.last(p, page)
		return next, ended, err
	}
	if g.as == pipeline.CursorURL || g.as == pipeline.CursorParams {
		if text, err = resolve(page, text); err == nil && g.as == pipeline.CursorParams {
			text, err = paramsOf(text)
		}
	}
	next.Cursor, next.JSON = text, isJSON
	if g.keep >= 0 && page.Records == 0 && text == p.Cursor && err == nil {
		return next, NoNews, nil
	}
	return next, GoesOn, err
}

// cursor is the text of the cursor that a page gives; empty if there is none.
func (g bodyCursor) cursor(page *Page) (text string, isJSON bool, err error) {
	v := g.value(page)
	if g.as == pipeline.CursorMembers && v != nil && v.Kind() == '{' {
		text, err = membersOf(v)
		return text, false, err
	}
	if text, isJSON, err = valueText(v); err != nil {
		return "", false, fmt.Errorf("%w where paginate.cursor.next expects text or a number", err)
	}
	if isJSON && v.Kind() != '0' && !g.p.Placed {
		return "", false, fmt.Errorf("the answer has %s where paginate.cursor.next expects text or a number", evidence.Short(v, 60))
	}
	if text != "" && g.p.Take != "" {
		text, err = takeParam(text, g.p.Take)
	}
	return text, isJSON, err
}

// last is a page that gives no cursor. Where the field is there, it says so itself, unless something else in the body
// says the opposite.
func (g bodyCursor) last(p Position, page *Page) (Reason, error) {
	if g.value(page) != nil {
		if more := evidence.Read(page.Rest).More(); len(more) > 0 {
			return GoesOn, newMoreError(g.path(), page, more)
		}
		return NoCursor, nil
	}
	lacks := "has no field " + pipeline.FormatPath(g.p.Next) + " (paginate.cursor.next)"
	if g.next < 0 {
		lacks = "has no header " + g.p.Header + " (paginate.cursor.header)"
	}
	kept := g.keep >= 0 && page.Fields[g.keep] != nil // what comes in its place on the last page
	return absent(p, page, absence{
		lacks: lacks, declared: g.p.AbsentEnds || kept, reason: NoCursor,
		hint: "correct the path; or, if the API leaves the field out where there is no other page, " +
			"set paginate.cursor.absent_ends: true",
	})
}

func (g bodyCursor) Shows(page *Page) bool { return g.value(page) != nil }

func (g bodyCursor) Shown() string { return g.name() }

// Kept reads the position from which the next pass goes on.
func (g keeping) Kept(page *Page) (string, error) {
	if page.Nothing != 0 {
		return "", nil
	}
	v := page.Fields[g.keep]
	text, _, err := valueText(v)
	if err == nil && text == "" {
		err = newFieldError(g.p.Keep.Field, v, page, "the position from which the next pass continues (paginate.cursor.keep)")
	}
	if err != nil || g.p.Keep.Param != "" || g.as != pipeline.CursorURL && g.as != pipeline.CursorParams {
		return text, err
	}
	if text, err = resolve(page, text); err == nil && g.as == pipeline.CursorParams {
		text, err = paramsOf(text)
	}
	return text, err
}

// From begins with what was kept as the first cursor, or, if it has a parameter of its own, as that on each page.
func (g keeping) From(kept string) Position {
	if g.p.Keep.Param != "" {
		return Position{Cursor: g.p.First, From: kept}
	}
	return Position{Cursor: kept, From: kept}
}

// valueText is the text of a cursor; empty if there is none: null, false, "" and 0 are how APIs say so. isJSON says
// that it is a JSON value that is no text.
func valueText(v jsontext.Value) (text string, isJSON bool, err error) {
	switch {
	case v == nil || slices.Contains([]jsontext.Kind{'n', 'f'}, v.Kind()):
		return "", false, nil
	case v.Kind() == '"':
		b, err := jsontext.AppendUnquote(nil, v)
		return string(b), false, err
	case v.Kind() == '0':
		if n, ok := number(v); ok && n == 0 {
			return "", false, nil
		}
		return string(v), true, nil
	case v.Kind() == '[' || v.Kind() == '{':
		compact := v.Clone()
		if err := compact.Compact(); err != nil {
			return "", false, err
		}
		return string(compact), true, nil
	}
	return "", false, fmt.Errorf("the answer has %s", evidence.Short(v, 60))
}
