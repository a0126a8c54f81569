package paginate_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/xxh3"

	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/pipeline"
)

func parse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func pages(size int, stop pipeline.StopRule) pipeline.Paginate {
	return pipeline.Paginate{Page: &pipeline.PageNumber{Param: "p", Start: 1, SizeParam: "n", Size: size, Stop: stop}}
}

func offsets(stop pipeline.StopRule) pipeline.Paginate {
	return pipeline.Paginate{Offset: &pipeline.OffsetLimit{Param: "o", LimitParam: "l", Limit: 50, Start: 1, Stop: stop}}
}

var (
	empty   = pipeline.StopRule{When: "empty"}
	short   = pipeline.StopRule{When: "short"}
	total   = pipeline.StopRule{When: "total", Field: []string{"t"}}
	hasMore = pipeline.StopRule{When: "has_more", Field: []string{"m"}}
	cursors = pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"c"}, Param: "after"}}
	urls    = pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"c"}}}
	links   = pipeline.Paginate{Link: &pipeline.LinkHeader{}}
)

func TestNext(t *testing.T) {
	const base = "https://api.test/v1/items?x=1"
	for name, c := range map[string]struct {
		p       pipeline.Paginate
		at      paginate.Position
		records int
		field   string
		link    string
		want    string // URL of the next page; empty: the pass ends
		ended   paginate.Reason
		err     string
	}{
		"none":                   {p: pipeline.Paginate{}, records: 5, ended: paginate.OnlyPage},
		"page goes on":           {p: pages(50, empty), at: paginate.Position{At: 1}, records: 3, want: base2("n=50&p=2")},
		"page empty":             {p: pages(50, empty), at: paginate.Position{At: 9}, ended: paginate.EmptyPage},
		"page full":              {p: pages(50, short), at: paginate.Position{At: 1}, records: 50, want: base2("n=50&p=2")},
		"page short":             {p: pages(50, short), at: paginate.Position{At: 1}, records: 49, ended: paginate.ShortPage},
		"short without size":     {p: pages(0, short), at: paginate.Position{At: 1}, records: 1, want: base2("p=2")},
		"total not reached":      {p: pages(50, total), at: paginate.Position{At: 2, Seen: 50}, records: 50, field: "101", want: base2("n=50&p=3")},
		"total reached":          {p: pages(50, total), at: paginate.Position{At: 3, Seen: 100}, records: 1, field: `"101"`, ended: paginate.TotalReached},
		"total wrong but empty":  {p: pages(50, total), at: paginate.Position{At: 3, Seen: 90}, field: "101", ended: paginate.EmptyPage},
		"total missing":          {p: pages(50, total), at: paginate.Position{At: 3}, records: 50, err: `nothing at "t"`},
		"total is no number":     {p: pages(50, total), at: paginate.Position{At: 3}, records: 50, field: `"many"`, err: `"many" at "t"`},
		"more":                   {p: offsets(hasMore), at: paginate.Position{At: 1}, records: 50, field: "true", want: base2("l=50&o=51")},
		"no more":                {p: offsets(hasMore), at: paginate.Position{At: 1}, records: 50, field: "false", ended: paginate.NoMore},
		"more missing":           {p: offsets(hasMore), at: paginate.Position{At: 1}, records: 50, err: "true or false"},
		"more, and none here":    {p: offsets(hasMore), at: paginate.Position{At: 1}, records: 0, field: "true", want: base2("l=50&o=51")},
		"API gives fewer":        {p: offsets(empty), at: paginate.Position{At: 1}, records: 20, want: base2("l=50&o=21")},
		"cursor":                 {p: cursors, records: 1, field: `"a\u0026b="`, want: base2("after=" + url.QueryEscape("a&b="))},
		"cursor is a number":     {p: cursors, records: 1, field: "12345678901234567890", want: base2("after=12345678901234567890")},
		"cursor null":            {p: cursors, records: 1, field: "null", ended: paginate.NoCursor},
		"cursor false":           {p: cursors, records: 1, field: "false", ended: paginate.NoCursor},
		"cursor empty":           {p: cursors, records: 1, field: `""`, ended: paginate.NoCursor},
		"cursor missing":         {p: cursors, records: 1, ended: paginate.NoCursor},
		"cursor is an object":    {p: cursors, records: 1, field: "{}", err: "object or array"},
		"absolute URL":           {p: urls, field: `"https://other.test/z?q=1#f"`, want: "https://other.test/z?q=1"},
		"relative URL":           {p: urls, field: `"?page=2"`, want: "https://api.test/v1/items?page=2"},
		"relative path":          {p: urls, field: `"/v2/items?page=2"`, want: "https://api.test/v2/items?page=2"},
		"URL of another kind":    {p: urls, field: `"file:///etc/passwd"`, err: "not one of HTTP"},
		"link":                   {p: links, link: `<https://api.test/v1/items?page=1>; rel="prev", </v1/items?page=3>; rel="last next"`, want: "https://api.test/v1/items?page=3"},
		"link in capitals":       {p: links, link: `<?page=3>; rel=NEXT`, want: "https://api.test/v1/items?page=3"},
		"no next link":           {p: links, link: `<?page=3>; rel=prev`, ended: paginate.NoLink},
		"no link":                {p: links, ended: paginate.NoLink},
		"link with other rel":    {p: pipeline.Paginate{Link: &pipeline.LinkHeader{Rel: "older"}}, link: `<?o=1>; rel="older"`, want: "https://api.test/v1/items?o=1"},
		"malformed links":        {p: links, link: `x, <?a=1, rel=next>; title="a, <b>; rel=next", <?page=4>;rel="next"`, want: "https://api.test/v1/items?page=4"},
		"first rel counts":       {p: links, link: `<?a=1>; rel=prev; rel=next, <?page=4> ; title="x\"" ; rel = "next"`, want: "https://api.test/v1/items?page=4"},
		"comma inside of a link": {p: links, link: `<?ids=1,2>; rel="next"`, want: "https://api.test/v1/items?ids=1,2"},
	} {
		t.Run(name, func(t *testing.T) {
			g := paginate.New(c.p)
			page := &paginate.Page{Records: c.records, URL: parse(t, base), Header: http.Header{"Link": {c.link}}}
			if c.field != "" {
				page.Fields = []jsontext.Value{jsontext.Value(c.field)}
			}
			next, ended, err := g.Next(c.at, page)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %q in it", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if ended != c.ended {
				t.Errorf("ended because %q, want %q", ended, c.ended)
			}
			if ended == paginate.GoesOn {
				u, err := g.URL(parse(t, base), next)
				if err != nil {
					t.Fatal(err)
				}
				got = u.String()
				if next.Index != c.at.Index+1 || next.Seen != c.at.Seen+int64(c.records) {
					t.Errorf("next position %+v", next)
				}
			}
			if got != c.want {
				t.Errorf("next is %q, want %q", got, c.want)
			}
		})
	}
}

func base2(more string) string {
	q, _ := url.ParseQuery("x=1&" + more)
	return "https://api.test/v1/items?" + q.Encode()
}

func TestFirstAndGuess(t *testing.T) {
	for name, c := range map[string]struct {
		p    pipeline.Paginate
		want []string
	}{
		"page":   {pages(50, total), []string{"n=50&p=1&x=1", "n=50&p=2&x=1", "n=50&p=3&x=1"}},
		"offset": {offsets(short), []string{"l=50&o=1&x=1", "l=50&o=51&x=1", "l=50&o=101&x=1"}},
	} {
		g, ok := paginate.New(c.p).(paginate.Addressable)
		if !ok {
			t.Fatalf("%s: not addressable", name)
		}
		var got []string
		for p := g.First(); len(got) < 3; p = g.Guess(p) {
			u, err := g.URL(parse(t, "https://api.test/?x=1"), p)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, u.RawQuery)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	byTotal, _ := paginate.New(pages(50, total)).(paginate.Addressable)
	if n, ok := byTotal.Pages(&paginate.Page{Fields: []jsontext.Value{jsontext.Value("101")}}); n != 3 || !ok {
		t.Errorf("last page %d, %v; want 3", n, ok)
	}
	for _, p := range []pipeline.Paginate{{}, cursors, links} {
		if _, ok := paginate.New(p).(paginate.Addressable); ok {
			t.Errorf("%+v is addressable", p)
		}
	}
}

// TestIdentity: the cursor keeps a hash of these texts, and a pass begins again when it changes. So they stay.
func TestIdentity(t *testing.T) {
	for want, p := range map[string]pipeline.Paginate{
		"":             {},
		"page p n 50":  pages(50, empty),
		"offset o":     offsets(short),
		"cursor after": cursors,
		"cursor ":      urls,
		"link":         links,
	} {
		if got := strings.Join(paginate.New(p).Identity(), " "); got != want {
			t.Errorf("identity %q, want %q", got, want)
		}
	}
}

// TestNextURLIsKeptWithoutCredentials, whichever way it came.
func TestNextURLIsKeptWithoutCredentials(t *testing.T) {
	page := &paginate.Page{
		Fields: []jsontext.Value{jsontext.Value(`"?p=2&key=s3cret"`)}, Header: http.Header{"Link": {`<?p=2&key=s3cret>; rel="next"`}},
		URL: parse(t, "https://api.test/v1"), Strip: func(u *url.URL) *url.URL { return parse(t, strings.Replace(u.String(), "&key=s3cret", "", 1)) },
	}
	for _, p := range []pipeline.Paginate{urls, links} {
		next, _, err := paginate.New(p).Next(paginate.Position{}, page)
		if want := "https://api.test/v1?p=2"; next.Cursor != want || err != nil {
			t.Errorf("kept %q (%v), want %q", next.Cursor, err, want)
		}
	}
}

func TestLoop(t *testing.T) {
	at := func(i int64, cursor string) paginate.Position { return paginate.Position{Index: i, Cursor: cursor} }
	hash := func(s string) xxh3.Uint128 { return xxh3.HashString128(s) }
	var l paginate.Loop
	if err := errors.Join(l.Check(at(0, ""), at(1, "a"), hash("x")), l.Check(at(1, "a"), at(2, "b"), hash("x"))); err != nil {
		t.Fatal(err) // the same records under different cursors are no loop yet
	}
	var e *paginate.LoopError
	if err := l.Check(at(2, "b"), at(3, "a"), hash("y")); !errors.As(err, &e) || e.Cursor != "a" || e.Index != 2 {
		t.Errorf("error %v, want that a came again", err)
	}
	if err := new(paginate.Loop).Check(at(5, "c"), at(6, "c"), hash("y")); !errors.As(err, &e) {
		t.Errorf("error %v, want that c leads to itself", err)
	}
	var p paginate.Loop
	if err := errors.Join(p.Check(at(0, ""), at(1, ""), hash("x")), p.Check(at(1, ""), at(2, ""), xxh3.Uint128{}), p.Check(at(2, ""), at(3, ""), xxh3.Uint128{})); err != nil {
		t.Errorf("pages without records are no loop: %v", err)
	}
	if err := errors.Join(p.Check(at(3, ""), at(4, ""), hash("x"))); err != nil {
		t.Error(err)
	}
	if err := p.Check(at(4, ""), at(5, ""), hash("x")); !errors.As(err, &e) || e.Cursor != "" {
		t.Errorf("error %v, want that the page repeats", err)
	}
}

func FuzzLink(f *testing.F) {
	f.Add(`<https://api.test/?a=1,2>; rel="next"; title="x\"", <b>; rel=prev`)
	f.Add(`<a>;rel="`)
	g := paginate.New(links)
	f.Fuzz(func(t *testing.T, header string) {
		base := &url.URL{Scheme: "https", Host: "api.test", Path: "/"}
		next, ended, err := g.Next(paginate.Position{}, &paginate.Page{URL: base, Header: http.Header{"Link": {header}}})
		if (ended == paginate.GoesOn) != (next.Cursor != "") && err == nil {
			t.Errorf("%q: ended %q, cursor %q", header, ended, next.Cursor)
		}
	})
}
