package paginate_test

import (
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
	empty      = pipeline.StopRule{When: "empty"}
	short      = pipeline.StopRule{When: "short"}
	total      = pipeline.StopRule{When: "total", Field: []string{"t"}}
	hasMore    = pipeline.StopRule{When: "has_more", Field: []string{"m"}}
	count      = pipeline.StopRule{When: "pages", Field: []string{"pages"}}
	end        = pipeline.StopRule{When: "end", Field: []string{"e"}}
	cursorMore = pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"c"}, Param: "after", Stop: hasMore}}
	cursorEnd  = pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"c"}, Param: "after", Stop: end}}
	cursors    = pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"c"}, Param: "after"}}
	urls       = pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"c"}}}
	links      = pipeline.Paginate{Link: &pipeline.LinkHeader{}}
)

func TestNext(t *testing.T) {
	const base = "https://api.test/v1/items?x=1"
	for name, c := range map[string]struct {
		p       pipeline.Paginate
		at      paginate.Position
		records int
		field   string
		flag    string // the field of stop, beside a cursor
		link    string
		rest    string
		asked   string // the query
		nothing int
		shown   bool
		doubt   string
		want    string // URL of the next page; empty: the pass ends
		ended   paginate.Reason
		err     string
	}{
		"none":                              {p: pipeline.Paginate{}, records: 5, ended: paginate.OnlyPage},
		"page continues":                    {p: pages(50, empty), at: paginate.Position{At: 1}, records: 3, want: base2("n=50&p=2")},
		"page empty":                        {p: pages(50, empty), at: paginate.Position{At: 9}, ended: paginate.EmptyPage},
		"page empty, but more":              {p: pages(50, empty), at: paginate.Position{At: 9}, rest: `{"has_more":true}`, want: base2("n=50&p=10")},
		"page full":                         {p: pages(50, short), at: paginate.Position{At: 1}, records: 50, want: base2("n=50&p=2")},
		"page short":                        {p: pages(50, short), at: paginate.Position{At: 2, Index: 1, Most: 50}, records: 49, ended: paginate.ShortPage},
		"first page short":                  {p: pages(50, short), at: paginate.Position{At: 1}, records: 49, want: base2("n=50&p=2")},
		"short, and none was full":          {p: pages(50, short), at: paginate.Position{At: 3, Index: 2, Most: 49}, records: 49, want: base2("n=50&p=4")},
		"short without size":                {p: pages(0, short), at: paginate.Position{At: 1}, records: 1, want: base2("p=2")},
		"total not reached":                 {p: pages(50, total), at: paginate.Position{Index: 1, At: 2, Seen: 50}, records: 50, field: "101", want: base2("n=50&p=3")},
		"total reached":                     {p: pages(50, total), at: paginate.Position{Index: 2, At: 3, Seen: 100}, records: 1, field: `"101"`, ended: paginate.TotalReached},
		"total, and nothing yet":            {p: pages(50, total), at: paginate.Position{Index: 2, At: 3, Seen: 90, Asked: 100}, field: "101", err: "only 90 of 101 records"},
		"total, hidden records":             {p: pages(50, total), at: paginate.Position{Index: 3, At: 4, Seen: 90, Asked: 150}, field: "101", ended: paginate.TotalReached},
		"total of nothing":                  {p: pages(50, total), at: paginate.Position{At: 1}, field: "0", ended: paginate.TotalReached},
		"total of the page's records":       {p: pages(50, total), at: paginate.Position{At: 1}, records: 50, field: "50", want: base2("n=50&p=2")},
		"total of a single page":            {p: pages(0, total), at: paginate.Position{At: 1}, records: 5, field: "5", ended: paginate.TotalReached},
		"total of a full page, and no more": {p: pages(50, total), at: paginate.Position{At: 1}, records: 50, field: "50", rest: `{"next":null}`, ended: paginate.TotalReached},
		"total, and yet more":               {p: pages(50, total), at: paginate.Position{Index: 1, At: 2, Seen: 50}, records: 50, field: "50", err: "more than that already"},
		"total below the first page":        {p: pages(50, total), at: paginate.Position{At: 1}, records: 50, field: "3", err: "does it count pages"},
		"total missing":                     {p: pages(50, total), at: paginate.Position{At: 3}, records: 50, rest: `{"meta":{"count":5}}`, err: "nothing at t, where paginate expects the number of records; its fields are: meta.count"},
		"total missing later":               {p: pages(50, total), at: paginate.Position{Index: 2, At: 3, Seen: 100, Total: 150}, records: 50, ended: paginate.TotalReached},
		"total is no number":                {p: pages(50, total), at: paginate.Position{At: 3}, records: 50, field: `"many"`, err: `"many" at t`},
		"total, and 204":                    {p: pages(50, total), at: paginate.Position{Index: 1, At: 2, Seen: 50, Total: 99}, nothing: 204, err: "only 50 of 99"},
		"pages, not the last":               {p: pages(50, count), at: paginate.Position{At: 1}, records: 50, field: "2", want: base2("n=50&p=2")},
		"pages, the last":                   {p: pages(50, count), at: paginate.Position{Index: 1, At: 2}, records: 50, field: "2", ended: paginate.TotalReached},
		"pages, and none here":              {p: pages(50, count), at: paginate.Position{Index: 1, At: 2}, field: "3", err: "only 1 of 3 pages"},
		"pages that are none":               {p: pages(50, count), at: paginate.Position{At: 1}, field: "0", ended: paginate.TotalReached},
		"pages, and yet more":               {p: pages(50, count), at: paginate.Position{At: 1}, records: 50, field: "1", rest: `{"pages":1,"next":"/x"}`, err: `next is "/x"`},
		"more":                              {p: offsets(hasMore), at: paginate.Position{At: 1}, records: 50, field: "true", want: base2("l=50&o=51")},
		"no more":                           {p: offsets(hasMore), at: paginate.Position{At: 1}, records: 50, field: "false", ended: paginate.NoMore},
		"no more, as a number":              {p: offsets(hasMore), at: paginate.Position{At: 1}, records: 50, field: "0", ended: paginate.NoMore},
		"more missing":                      {p: offsets(hasMore), at: paginate.Position{At: 1}, records: 50, err: "true or false"},
		"more missing later":                {p: offsets(hasMore), at: paginate.Position{Index: 1, At: 1}, records: 50, ended: paginate.NoMore},
		"more, and none here":               {p: offsets(hasMore), at: paginate.Position{At: 1}, records: 0, field: "true", want: base2("l=50&o=51")},
		"more, none here, and a cap":        {p: offsets(hasMore), at: paginate.Position{Index: 1, At: 21, Most: 20}, records: 0, field: "true", want: base2("l=50&o=41")},
		"end":                               {p: pages(50, end), at: paginate.Position{At: 1}, records: 50, field: "true", ended: paginate.NoMore},
		"not the end":                       {p: pages(50, end), at: paginate.Position{At: 1}, records: 50, field: "false", want: base2("n=50&p=2")},
		"end missing":                       {p: pages(50, end), at: paginate.Position{Index: 1, At: 2}, records: 50, err: "true or false"},
		"API gives fewer":                   {p: offsets(empty), at: paginate.Position{At: 1}, records: 20, want: base2("l=50&o=21")},
		"short in the middle":               {p: offsets(empty), at: paginate.Position{Index: 1, At: 51, Most: 50}, records: 49, want: base2("l=50&o=100")},
		"past the end":                      {p: offsets(empty), at: paginate.Position{Index: 1, At: 51}, nothing: 404, ended: paginate.PastEnd},
		"no content":                        {p: offsets(empty), at: paginate.Position{At: 1}, nothing: 204, ended: paginate.NoContent},
		"no content to a cursor":            {p: cursors, at: paginate.Position{Index: 1, Cursor: "x"}, nothing: 204, ended: paginate.NoContent},
		"an empty body to a cursor":         {p: cursors, at: paginate.Position{Index: 1, Cursor: "x"}, nothing: 200, err: "neither records nor a cursor"},
		"cursor":                            {p: cursors, records: 1, field: `"a\u0026b="`, want: base2("after=" + url.QueryEscape("a&b="))},
		"cursor is a number":                {p: cursors, records: 1, field: "12345678901234567890", want: base2("after=12345678901234567890")},
		"cursor null":                       {p: cursors, records: 1, field: "null", ended: paginate.NoCursor},
		"cursor false":                      {p: cursors, records: 1, field: "false", ended: paginate.NoCursor},
		"cursor empty":                      {p: cursors, records: 1, field: `""`, ended: paginate.NoCursor},
		"cursor 0":                          {p: cursors, records: 1, field: `0`, ended: paginate.NoCursor},
		"cursor null, but more":             {p: cursors, records: 1, field: "null", rest: `{"c":null,"has_more":true}`, err: "leads no further at c, and yet there seems to be more: has_more is true"},
		"cursor missing later":              {p: cursors, at: paginate.Position{Index: 1, Cursor: "x"}, records: 1, ended: paginate.NoCursor},
		"cursor missing later, but more":    {p: cursors, at: paginate.Position{Index: 1, Cursor: "x"}, records: 1, rest: `{"has_more":true}`, err: "has_more is true"},
		"cursor missing":                    {p: cursors, records: 1, rest: `{"meta":{"x":1}}`, ended: paginate.NoCursor, doubt: "has no field c (paginate.cursor.next), and none had it so far; its fields are: meta.x"},
		"cursor missing, but more":          {p: cursors, records: 1, rest: `{"meta":{"next_cursor":2}}`, err: "meta.next_cursor is 2"},
		"cursor missing, a larger total":    {p: cursors, records: 1, rest: `{"total":2}`, err: "total is 2"},
		"cursor missing, a full page":       {p: cursors, records: 100, rest: `{}`, err: "exactly 100 records"},
		"cursor missing, as asked for":      {p: cursors, records: 37, asked: "limit=37", rest: `{}`, err: "as many as the parameter limit asks for"},
		"cursor missing, all there":         {p: cursors, records: 100, rest: `{"total":100}`, ended: paginate.NoCursor},
		"cursor missing, no more":           {p: cursors, records: 100, rest: `{"has_more":false}`, ended: paginate.NoCursor},
		"cursor missing, none there":        {p: cursors, records: 0, rest: `{}`, ended: paginate.NoCursor},
		"cursor missing, shown before":      {p: cursors, records: 100, shown: true, rest: `{}`, ended: paginate.NoCursor},
		"cursor missing, as declared":       {p: pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"c"}, AbsentEnds: true}}, records: 100, rest: `{}`, ended: paginate.NoCursor},
		"cursor is an object":               {p: cursors, records: 1, field: "{}", err: "{} where paginate.cursor.next expects"},
		"cursor beside more":                {p: cursorMore, records: 1, field: `"x"`, flag: "true", want: base2("after=x")},
		"cursor beside no more":             {p: cursorMore, records: 1, field: `"x"`, flag: "false", ended: paginate.NoMore},
		"more without a cursor":             {p: cursorMore, records: 1, field: `null`, flag: "true", err: "m is true"},
		"cursor beside nothing later":       {p: cursorMore, at: paginate.Position{Index: 1, Cursor: "w"}, records: 1, field: `"x"`, want: base2("after=x")},
		"neither cursor nor flag later":     {p: cursorMore, at: paginate.Position{Index: 1, Cursor: "w"}, records: 1, ended: paginate.NoMore},
		"cursor beside nothing":             {p: cursorMore, records: 1, field: `"x"`, err: "nothing at m"},
		"cursor at the end":                 {p: cursorEnd, records: 1, field: `"x"`, flag: "true", ended: paginate.NoMore},
		"absolute URL":                      {p: urls, field: `"https://other.test/z?q=1#f"`, want: "https://other.test/z?q=1"},
		"relative URL":                      {p: urls, field: `"?page=2"`, want: "https://api.test/v1/items?page=2"},
		"relative path":                     {p: urls, field: `"/v2/items?page=2"`, want: "https://api.test/v2/items?page=2"},
		"URL with blanks":                   {p: urls, field: `" /v2/a b?since=2024-01-01 00:00:00&q=ü|100%&r=%20\n"`, want: "https://api.test/v2/a%20b?since=2024-01-01%2000:00:00&q=%C3%BC%7C100%25&r=%20"},
		"URL of another kind":               {p: urls, field: `"file:///etc/passwd"`, err: "not one of HTTP"},
		"link":                              {p: links, link: `<https://api.test/v1/items?page=1>; rel="prev", </v1/items?page=3>; rel="last next"`, want: "https://api.test/v1/items?page=3"},
		"link in capitals":                  {p: links, link: `<?page=3>; rel=NEXT`, want: "https://api.test/v1/items?page=3"},
		"no next link":                      {p: links, records: 100, link: `<?page=3>; rel=prev`, ended: paginate.NoLink},
		"no next link, but more":            {p: links, records: 100, link: `<?page=3>; rel=prev`, rest: `{"has_more":true}`, err: "a Link header without the relation next"},
		"no link":                           {p: links, records: 1, ended: paginate.NoLink, doubt: "has no Link header"},
		"no link, but more":                 {p: links, records: 1, rest: `{"has_more":true}`, err: "has no Link header, and yet there seems to be more: has_more is true; its fields are: has_more"},
		"no link, and a full page":          {p: links, records: 30, err: "exactly 30 records"},
		"no link, shown before":             {p: links, records: 30, shown: true, ended: paginate.NoLink},
		"no link later":                     {p: links, at: paginate.Position{Index: 1, Cursor: "https://x/"}, records: 30, ended: paginate.NoLink},
		"link with other rel":               {p: pipeline.Paginate{Link: &pipeline.LinkHeader{Rel: "older"}}, link: `<?o=1>; rel="older"`, want: "https://api.test/v1/items?o=1"},
		"malformed links":                   {p: links, link: `x, <?a=1, rel=next>; title="a, <b>; rel=next", <?page=4>;rel="next"`, want: "https://api.test/v1/items?page=4"},
		"first rel counts":                  {p: links, link: `<?a=1>; rel=prev; rel=next, <?page=4> ; title="x\"" ; rel = "next"`, want: "https://api.test/v1/items?page=4"},
		"comma inside of a link":            {p: links, link: `<?ids=1,2>; rel="next"`, want: "https://api.test/v1/items?ids=1,2"},
		"one page":                          {p: pipeline.Paginate{}, records: 100, rest: `{"total":100,"next":null}`, ended: paginate.OnlyPage},
		"one page of several":               {p: pipeline.Paginate{}, records: 100, rest: `{"total":101}`, ended: paginate.OnlyPage, doubt: "ingest.paginate is not set, but there seems to be more: total is 101"},
		"one full page":                     {p: pipeline.Paginate{}, records: 37, asked: "limit=37", ended: paginate.OnlyPage, doubt: "as many as the parameter limit"},
		"one page with a link":              {p: pipeline.Paginate{}, records: 100, link: `<?p=2>; rel=next`, ended: paginate.OnlyPage, doubt: "the Link header names a next page"},
	} {
		t.Run(name, func(t *testing.T) {
			g := paginate.New(c.p)
			page := &paginate.Page{
				Records: c.records, URL: parse(t, base), Header: http.Header{}, Rest: jsontext.Value(c.rest), Asked: parse(t, base+"&"+c.asked),
				Nothing: c.nothing, PastEnd: c.nothing == http.StatusNotFound, Shown: c.shown,
			}
			if c.link != "" {
				page.Header.Set("Link", c.link)
			}
			for i, field := range []string{c.field, c.flag}[:max(1, len(g.Wants().Fields))] {
				page.Fields = append(page.Fields, nil)
				if field != "" {
					page.Fields[i] = jsontext.Value(field)
				}
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
			if (page.Doubt == "") != (c.doubt == "") || !strings.Contains(page.Doubt, c.doubt) {
				t.Errorf("doubt %q, want %q in it", page.Doubt, c.doubt)
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

// walk shows a loop the pages of a pass, each as the cursor that it gives and what its records are, and returns how the
// pass ends.
func walk(l *paginate.Loop, addressed bool, pages ...string) (int, paginate.Reason, error) {
	var p paginate.Position
	for i, page := range pages {
		next := paginate.Position{Index: p.Index + 1, Empty: p.Empty + 1}
		cursor, records, _ := strings.Cut(page, " ")
		if !addressed {
			next.Cursor = cursor
		}
		var hash xxh3.Uint128
		if records != "" {
			hash, next.Empty = xxh3.HashString128(records), 0
		}
		ended, err := l.Check(p, &next, paginate.GoesOn, hash, false)
		if err != nil || ended != paginate.GoesOn {
			return i, ended, err
		}
		p = next
	}
	return len(pages), paginate.GoesOn, nil
}

func TestLoop(t *testing.T) {
	for name, c := range map[string]struct {
		loop  paginate.Loop
		pages []string // a cursor, and records; "-" as the cursor: pages are addressed
		at    int
		ended paginate.Reason
		err   string
	}{
		"continues":                     {pages: []string{"a x", "b y", "c z"}, at: 3},
		"leads back":                    {pages: []string{"a x", "b y", "a z"}, at: 2, err: `the page leads back to "a"`},
		"the same records twice":        {pages: []string{"a x", "b x", "c y"}, at: 3},
		"the same records three times":  {pages: []string{"a x", "b x", "c x"}, at: 2, err: "exactly the records"},
		"names itself and repeats":      {pages: []string{"a x", "b y", "b z", "b z"}, at: 3, ended: paginate.Repeated},
		"names itself and is empty":     {pages: []string{"a x", "b y", "b"}, at: 2, ended: paginate.Repeated},
		"one cursor for all pages":      {pages: []string{"a x", "a y", "a z", "a u", "a"}, at: 4, ended: paginate.Repeated},
		"names itself, is the first":    {pages: []string{"a x", "a x"}, at: 1, err: "exactly the records"},
		"empty pages":                   {pages: []string{"- x", "-", "-", "- y"}, at: 4},
		"the last page again":           {pages: []string{"- x", "- y", "- y"}, at: 2, ended: paginate.Repeated},
		"the first page again":          {pages: []string{"- x", "- x"}, at: 1, err: "does the API know the parameter of paginate"},
		"the first again, as declared":  {loop: paginate.Loop{Repeats: true}, pages: []string{"- x", "- x"}, at: 1, ended: paginate.Repeated},
		"too many empty pages":          {loop: paginate.Loop{MaxEmpty: 2}, pages: []string{"- x", "-", "-", "-"}, at: 3, err: "3 pages in a row have no records"},
		"too many empty, with cursors":  {loop: paginate.Loop{MaxEmpty: 2}, pages: []string{"a x", "b", "c", "d"}, at: 3, err: "ingest.empty_pages"},
		"empty pages, and then records": {loop: paginate.Loop{MaxEmpty: 2}, pages: []string{"a x", "b", "c", "d y", "e", "f"}, at: 6},
	} {
		t.Run(name, func(t *testing.T) {
			at, ended, err := walk(&c.loop, strings.HasPrefix(c.pages[0], "-"), c.pages...)
			if at != c.at || ended != c.ended || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("page %d, ended %q, error %v; want %d, %q, %q", at, ended, err, c.at, c.ended, c.err)
			}
		})
	}
}

// TestAPageAgainBeforeTheEnd: where the API says that more records follow, a page that is the one before once more is
// not the last.
func TestAPageAgainBeforeTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		stop  pipeline.StopRule
		field string // on each page
		rest  string
		ends  bool
	}{
		"total":                    {stop: pipeline.StopRule{When: "total", Field: []string{"n"}}, field: "50"},
		"total, all was asked for": {stop: pipeline.StopRule{When: "total", Field: []string{"n"}}, field: "30", ends: true},
		"pages":                    {stop: pipeline.StopRule{When: "pages", Field: []string{"n"}}, field: "5"},
		"has_more":                 {stop: pipeline.StopRule{When: "has_more", Field: []string{"n"}}, field: "true"},
		"end":                      {stop: pipeline.StopRule{When: "end", Field: []string{"n"}}, field: "false"},
		"empty, with has_more":     {stop: pipeline.StopRule{When: "empty"}, rest: `{"has_more":true}`},
		"empty":                    {stop: pipeline.StopRule{When: "empty"}, rest: `{}`, ends: true},
		"repeat, with has_more":    {stop: pipeline.StopRule{When: "repeat"}, rest: `{"has_more":true}`, ends: true},
	} {
		t.Run(name, func(t *testing.T) {
			pager := paginate.New(pipeline.Paginate{Page: &pipeline.PageNumber{Param: "page", Size: 10, Stop: c.stop}})
			l := paginate.Loop{Repeats: c.stop.When == "repeat"}
			var p paginate.Position
			var ended paginate.Reason
			var err error
			for _, page := range []struct {
				records int
				hash    uint64
			}{{10, 1}, {10, 2}, {4, 3}, {4, 3}} {
				got := paginate.Page{Records: page.records, Rest: jsontext.Value(c.rest)}
				if c.field != "" {
					got.Fields = []jsontext.Value{jsontext.Value(c.field)}
				}
				var next paginate.Position
				next, ended, err = pager.Next(p, &got)
				if err != nil {
					t.Fatal(err)
				}
				if ended, err = l.Check(p, &next, ended, xxh3.Uint128{Lo: page.hash}, got.More); err != nil || ended != paginate.GoesOn {
					break
				}
				p = next
			}
			if p.Index != 3 {
				t.Fatalf("stopped at page %d: %q, %v", p.Index, ended, err)
			}
			if c.ends && (err != nil || ended != paginate.Repeated) {
				t.Errorf("ended %q, error %v; want that the last page came again", ended, err)
			}
			if !c.ends && (err == nil || !strings.Contains(err.Error(), "the API says that others follow")) {
				t.Errorf("ended %q, error %v; want an error", ended, err)
			}
		})
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
