package paginate_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/pipeline"
)

func values(texts ...string) []jsontext.Value {
	var out []jsontext.Value
	for _, t := range texts {
		if t == "" {
			out = append(out, nil)
			continue
		}
		out = append(out, jsontext.Value(t))
	}
	return out
}

// TestStyles: keysets, cursors in headers, cursors that are taken apart: what leads on, what ends, and what is an
// error.
func TestStyles(t *testing.T) {
	keyset := pipeline.Paginate{Keyset: &pipeline.Keyset{
		Field: []string{"id"}, Param: "after", Stop: pipeline.StopRule{When: "has_more", Field: []string{"more"}},
	}}
	header := pipeline.Paginate{Cursor: &pipeline.BodyCursor{Header: "X-Next", Param: "c"}}
	members := pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"continue"}, As: pipeline.CursorMembers}}
	params := pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"next"}, As: pipeline.CursorParams}}
	take := pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"next"}, Take: "c", Param: "cursor"}}
	pending := pipeline.Paginate{Cursor: &pipeline.BodyCursor{
		Next: []string{"seq"}, Param: "since", Stop: pipeline.StopRule{When: "has_more", Field: []string{"pending"}},
	}}
	total := pipeline.Paginate{Page: &pipeline.PageNumber{Param: "p", Size: 2, Stop: pipeline.StopRule{When: "total", Header: "X-Total"}}}
	for name, c := range map[string]struct {
		p       pipeline.Paginate
		page    paginate.Page
		want    string // URL of the next page
		ended   paginate.Reason
		err     string
		isJSON  bool
		atIndex int64
	}{
		"keyset continues":           {p: keyset, page: paginate.Page{Records: 2, Fields: values("true"), Last: jsontext.Value(`"a b"`)}, want: base2("after=a+b")},
		"keyset of numbers":          {p: keyset, page: paginate.Page{Records: 2, Fields: values("true"), Last: jsontext.Value(`7`)}, want: base2("after=7"), isJSON: true},
		"keyset ends":                {p: keyset, page: paginate.Page{Records: 2, Fields: values("false"), Last: jsontext.Value(`7`)}, ended: paginate.NoMore},
		"keyset without the field":   {p: keyset, page: paginate.Page{Records: 2, Fields: values("true")}, err: "nothing at id"},
		"keyset whose field is null": {p: keyset, page: paginate.Page{Records: 2, Fields: values("true"), Last: jsontext.Value(`null`)}, err: "null at id"},
		"keyset, empty, and more":    {p: keyset, page: paginate.Page{Fields: values("true")}, err: "no record after which"},
		"header continues":           {p: header, page: paginate.Page{Records: 1, Header: http.Header{"X-Next": {"a/b"}}}, want: base2("c=a/b")},
		"header ends":                {p: header, page: paginate.Page{Records: 1, Header: http.Header{}}, ended: paginate.NoCursor, atIndex: 1},
		"header is missing, and yet": {p: header, page: paginate.Page{Records: 1, Header: http.Header{}, Rest: jsontext.Value(`{"has_more":true}`)}, err: "no header X-Next"},
		"members":                    {p: members, page: paginate.Page{Records: 1, Fields: values(`{"a":"1","b":2,"x":"o"}`)}, want: "https://api.test/v1/items?a=1&b=2&x=o"},
		"members that are none":      {p: members, page: paginate.Page{Records: 1, Fields: values(`[1]`)}, err: "expects text or a number"},
		"params":                     {p: params, page: paginate.Page{Records: 1, Fields: values(`"http://10.0.0.1/z?x=2&y=3"`)}, want: strings.Replace(base2("y=3"), "x=1", "x=2", 1)},
		"params without any":         {p: params, page: paginate.Page{Records: 1, Fields: values(`"/z"`)}, err: "has no parameters"},
		"take":                       {p: take, page: paginate.Page{Records: 1, Fields: values(`"/z?c=a%2Fb"`)}, want: base2("cursor=a/b")},
		"take what is not there":     {p: take, page: paginate.Page{Records: 1, Fields: values(`"/z?d=1"`)}, err: "no parameter c"},
		"so many are left":           {p: pending, page: paginate.Page{Records: 1, Fields: values("5", "12")}, want: base2("since=5"), isJSON: true},
		"none is left":               {p: pending, page: paginate.Page{Records: 1, Fields: values("5", "0")}, ended: paginate.NoMore},
		"a text is no flag":          {p: pending, page: paginate.Page{Records: 1, Fields: values("5", `"many"`)}, err: "true or false"},
		"total in a header":          {p: total, page: paginate.Page{Records: 2, Header: http.Header{"X-Total": {"5"}}}, want: base2("p=1")},
		"no total in the header":     {p: total, page: paginate.Page{Records: 2, Header: http.Header{}}, err: "header X-Total"},
	} {
		t.Run(name, func(t *testing.T) {
			c.page.URL, c.page.Asked = parse(t, "https://api.test/v1/items?x=1"), parse(t, "https://api.test/v1/items?x=1")
			if c.page.Header == nil {
				c.page.Header = http.Header{}
			}
			g := paginate.New(c.p)
			next, ended, err := g.Next(paginate.Position{Index: c.atIndex}, &c.page)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %q in it", err, c.err)
				}
				return
			}
			if err != nil || ended != c.ended || next.JSON != c.isJSON {
				t.Fatalf("%+v, ended %q, error %v", next, ended, err)
			}
			if ended != paginate.GoesOn {
				return
			}
			u, err := g.URL(parse(t, "https://api.test/v1/items?x=1"), next)
			if err != nil || u.String() != c.want {
				t.Errorf("next is %s (%v), want %s", u, err, c.want)
			}
		})
	}
}

// TestKept: what outlives a pass, and where the next one begins with it.
func TestKept(t *testing.T) {
	page := func(field string) *paginate.Page {
		return &paginate.Page{Fields: values("null", field), URL: parse(t, "https://api.test/v1/items"), Header: http.Header{}}
	}
	link := paginate.New(pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"next"}, Keep: &pipeline.Keep{Field: []string{"delta"}}}}).(paginate.Keeper)
	kept, err := link.Kept(page(`"/v1/delta?t=1"`))
	if err != nil || kept != "https://api.test/v1/delta?t=1" {
		t.Errorf("kept %q: %v", kept, err)
	}
	if u, err := link.URL(parse(t, "https://api.test/v1/items?x=1"), link.From(kept)); err != nil || u.String() != kept {
		t.Errorf("begins at %s: %v", u, err)
	}
	if _, err := link.Kept(page("")); err == nil || !strings.Contains(err.Error(), "paginate.cursor.keep") {
		t.Errorf("a last page without a position: %v", err)
	}
	if kept, err := link.Kept(&paginate.Page{Nothing: http.StatusNotModified}); err != nil || kept != "" {
		t.Errorf("kept %q of nothing: %v", kept, err)
	}
	token := paginate.New(pipeline.Paginate{Cursor: &pipeline.BodyCursor{
		Next: []string{"next"}, Param: "page", Keep: &pipeline.Keep{Field: []string{"token"}, Param: "sync"},
	}}).(paginate.Keeper)
	at := token.From("s/1")
	at.Cursor = "p2" // the token is sent with each page
	if u, err := token.URL(parse(t, "https://api.test/v1/items?x=1"), at); err != nil || u.String() != base2("page=p2&sync=s/1") {
		t.Errorf("page 2 is %s: %v", u, err)
	}
	if d := cmp.Diff([]string{"cursor", "page", "keep", "sync"}, token.Identity()); d != "" {
		t.Error(d)
	}
}
