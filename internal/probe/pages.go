package probe

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/evidence"
	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/internal/infer"
	"github.com/millrace-io/millrace/pipeline"
)

// paging is how the pages follow one another.
type paging struct {
	paginate pipeline.Paginate
	said     string
	guess    string
	second   []jsontext.Value // records of the second page; nil: it was not asked for
	drop     []string         // parameters of the URL that the pagination sets itself
	feed     bool             // it is a feed of changes, as CouchDB has it: deletions are among them
}

// Names of parameters, best first.
var (
	pageParams   = []string{"page", "page_number", "pageNumber", "page[number]", "pageNo", "page_no", "pageIndex", "p", "paged", "currentPage"}
	offsetParams = []string{"offset", "skip", "startAt", "start", "start_index", "startIndex", "from", "$skip", "page[offset]", "first_result"}
	sizeParams   = []string{"per_page", "page_size", "pageSize", "limit", "size", "perPage", "page[size]", "maxResults", "$top", "rows", "take", "pagelen", "page[limit]", "count", "top"}
)

// tokenParams are parameters that take the cursor of a field, by the field's name as evidence.Plain has it.
var tokenParams = map[string][]string{
	"nextpagetoken": {"pageToken", "page_token", "nextPageToken"}, "nextcursor": {"cursor", "start_cursor", "next_cursor", "after", "page[cursor]"},
	"endcursor": {"after", "cursor"}, "after": {"after"}, "aftercursor": {"page[after]", "after", "cursor"},
	"nexttoken": {"NextToken", "nextToken", "next_token", "token"}, "continuationtoken": {"continuationToken", "continuation_token", "ContinuationToken"},
	"nextcontinuationtoken": {"continuation-token", "continuationToken"}, "continuation": {"continuation"}, "cursor": {"cursor"},
	"next": {"next", "cursor", "after", "page", "offset", "start"}, "offset": {"offset"}, "nextoffset": {"offset"}, "nextpage": {"page"}, "nextid": {"after_id", "from_id", "since_id"},
	"marker": {"marker"}, "nextmarker": {"marker"}, "nextpagecursor": {"cursor", "page_cursor", "pageCursor"}, "cursornext": {"cursor"}, "nextstart": {"start"},
	"nextpageid": {"page_id", "pageId"}, "nextkey": {"key", "start_key"}, "paginationtoken": {"pagination_token", "paginationToken"},
}

// pages finds out how to get the second page.
func (f *finder) pages(ctx context.Context) *paging {
	if f.place.shape.Kind == pipeline.ShapeObject || f.place.shape.Kind == pipeline.ShapeMap && len(f.place.path) == 0 {
		return &paging{said: "the answer is all there is"}
	}
	for _, try := range []func(context.Context) *paging{f.byLink, f.byURL, f.byFeed, f.byToken, f.byKeyset, f.byNumber} {
		if p := try(ctx); p != nil {
			return p
		}
	}
	p := &paging{said: "nothing in the answer leads to another page"}
	body := f.place.rest(f.first)
	n := int64(len(f.records))
	switch beyond := append(body.More(), body.Beyond(n)...); {
	case len(beyond) > 0:
		p.guess = "how to get another page was not found, and there seems to be more: " + strings.Join(beyond, ", ")
	case evidence.Full(f.first.asked, n) != "":
		p.guess = "no other page was found, but " + evidence.Full(f.first.asked, n)
	}
	return p
}

// other reports whether records are those of another page: some, and nearly none of the first.
func (f *finder) other(records []jsontext.Value) bool {
	return len(records) > 0 && f.overlap(records)*4 <= len(records)
}

// overlap is how many records are among those of the first page.
func (f *finder) overlap(records []jsontext.Value) int {
	n := 0
	for _, r := range records {
		if f.ids[f.id(r)] {
			n++
		}
	}
	return n
}

// id is what tells a record apart.
func (f *finder) id(record jsontext.Value) string {
	if len(f.key.Paths) == 0 {
		return string(record)
	}
	var b strings.Builder
	for _, path := range f.key.Paths {
		b.Write(infer.Value(record, path))
		b.WriteByte(0)
	}
	return b.String()
}

// second asks for the page at u and says whether it is another one.
func (f *finder) second(ctx context.Context, u *url.URL, why string) ([]jsontext.Value, error) {
	a, err := f.ask.get(ctx, u, why)
	if err != nil {
		return nil, err
	}
	return f.place.cut(a), nil
}

// follow takes the next page from what a pagination finds in the first answer, and asks for it.
func (f *finder) follow(ctx context.Context, p pipeline.Paginate, why string) (records []jsontext.Value, ok bool) {
	pager := paginate.New(p)
	page := &paginate.Page{
		Records: len(f.records), URL: f.first.asked, Header: f.first.header, Asked: f.first.asked, Shown: true,
		Strip: f.ask.client.Strip,
	}
	for _, path := range pager.Wants().Fields {
		page.Fields = append(page.Fields, infer.Value(f.first.body, path))
	}
	next, ended, err := pager.Next(pager.First(), page)
	if err != nil || ended != paginate.GoesOn {
		return nil, false
	}
	u, err := pager.URL(f.first.asked, next)
	if err != nil {
		return nil, false
	}
	records, err = f.second(ctx, u, why)
	return records, err == nil
}

// byLink looks for the Link header.
func (f *finder) byLink(ctx context.Context) *paging {
	if !strings.Contains(strings.ToLower(strings.Join(f.first.header.Values("Link"), ",")), "next") {
		return nil
	}
	p := &paging{paginate: pipeline.Paginate{Link: &pipeline.LinkHeader{Rel: "next", AbsentEnds: true}}, said: "the Link header names the next page"}
	records, ok := f.follow(ctx, p.paginate, "the page that the Link header names")
	switch {
	case !ok:
		return nil
	case f.other(records):
		p.second = records
		p.said += "; it had other records"
	default:
		p.guess = "the page that it names had no other records"
	}
	return p
}

// leads are fields of the first answer that may lead to the next page.
func (f *finder) leads() (urls, tokens []evidence.Field) {
	for _, field := range f.place.rest(f.first).All() {
		name := evidence.Plain(field.Path[len(field.Path)-1])
		kind := field.Value.Kind()
		if kind != '"' && kind != '0' || name == "nextsynctoken" || name == "nextsync" {
			continue
		}
		text := infer.Text(field.Value)
		inNext := len(field.Path) > 1 && field.Role == evidence.NoRole && evidence.Plain(field.Path[len(field.Path)-2]) == "next" &&
			slices.Contains([]string{"href", "url", "uri", "link"}, name)
		isURL := strings.HasPrefix(text, "http") || strings.HasPrefix(text, "/") || strings.HasPrefix(text, "?")
		leads := field.Role == evidence.LeadsOn || inNext
		switch {
		case text == "" || text == "0" || text == "false":
		case leads && isURL, isURL && name == "afterurl":
			urls = append(urls, field)
		case leads && !inNext, tokenParams[name] != nil && (name != "offset" || kind == '"') && (name != "after" || len(field.Path) > 1):
			tokens = append(tokens, field)
		}
	}
	return urls, tokens
}

// flag is a stop rule from a field that says whether there is more.
func (f *finder) flag() pipeline.StopRule {
	for _, field := range f.place.rest(f.first).All() {
		switch {
		case field.Role == evidence.SaysMore && field.Value.Kind() == 't':
			return pipeline.StopRule{When: "has_more", Field: field.Path}
		case field.Role == evidence.SaysLast && field.Value.Kind() == 'f':
			return pipeline.StopRule{When: "end", Field: field.Path}
		}
	}
	return pipeline.StopRule{}
}

// byURL looks for a field with the URL of the next page.
func (f *finder) byURL(ctx context.Context) *paging {
	urls, _ := f.leads()
	for _, field := range urls {
		c := &pipeline.BodyCursor{Next: field.Path, AbsentEnds: absentEnds(field.Path)}
		p := &paging{paginate: pipeline.Paginate{Cursor: c}, said: pipeline.FormatPath(field.Path) + " is the URL of the next page"}
		records, ok := f.follow(ctx, p.paginate, "the page that "+pipeline.FormatPath(field.Path)+" names")
		if !ok || !f.other(records) {
			continue
		}
		p.second = records
		p.said += "; it had other records"
		c.Stop = f.flag()
		return p
	}
	return nil
}

// absentEnds reports whether an API of that style leaves the field out on its last page.
func absentEnds(path []string) bool {
	full := evidence.Plain(strings.Join(path, "."))
	for _, known := range []string{"nextlink", "nextpagetoken", "pagingnextafter", "nextrecordsurl", "offset", "linksnexthref", "linksnexturl", "linksnext", "nexttoken", "continuationtoken"} {
		if strings.HasSuffix(full, known) {
			return true
		}
	}
	return false
}

// byToken looks for a field with a cursor, and for the parameter that takes it.
func (f *finder) byToken(ctx context.Context) *paging {
	_, tokens := f.leads()
	for _, field := range tokens {
		name := evidence.Plain(field.Path[len(field.Path)-1])
		params := slices.Clone(tokenParams[name])
		own := field.Path[len(field.Path)-1]
		if slices.Contains(params, own) { // spelled as the field is, before other spellings
			params = append([]string{own}, slices.DeleteFunc(params, func(p string) bool { return p == own })...)
		} else {
			params = append(params, own, strings.TrimPrefix(own, "next_"))
		}
		if strings.Contains(own, "_") {
			slices.SortStableFunc(params, func(a, b string) int { return underscores(b) - underscores(a) })
		}
		for _, param := range slices.Compact(params[:min(len(params), 5)]) {
			c := &pipeline.BodyCursor{Next: field.Path, Param: param, AbsentEnds: absentEnds(field.Path)}
			p := &paging{paginate: pipeline.Paginate{Cursor: c}}
			records, ok := f.follow(ctx, p.paginate, fmt.Sprintf("whether %s takes %s", param, pipeline.FormatPath(field.Path)))
			if !ok || !f.other(records) {
				continue
			}
			p.second = records
			p.drop = []string{param}
			c.Stop = f.flag()
			p.said = fmt.Sprintf("%s sent as %s brought other records", pipeline.FormatPath(field.Path), param)
			return p
		}
	}
	return nil
}

// keysetParams are parameters that take the key of the last record.
var keysetParams = []string{"starting_after", "after", "after_id", "since_id", "last_id", "from_id", "max_id"}

// byKeyset tries the key of the last record, where the answer says that there is more, and not how to get it.
func (f *finder) byKeyset(ctx context.Context) *paging {
	flag := f.flag()
	if flag.When == "" || len(f.key.Paths) != 1 || len(f.records) == 0 {
		return nil
	}
	for _, field := range f.told() {
		if name := field.Path[len(field.Path)-1]; slices.Contains(pageParams, name) || slices.Contains(offsetParams, name) {
			return nil
		}
	}
	last := infer.Text(infer.Value(f.records[len(f.records)-1], f.key.Paths[0]))
	for _, param := range keysetParams[:4] {
		records, err := f.second(ctx, with(f.first.asked, param, last), fmt.Sprintf("whether %s takes the key of the last record", param))
		if err != nil || !f.other(records) {
			continue
		}
		k := &pipeline.Keyset{Field: f.key.Paths[0], Param: param, Stop: flag}
		size := f.size(ctx, nil)
		if size.param != "" {
			k.SizeParam, k.Size = size.param, size.n
		}
		return &paging{
			paginate: pipeline.Paginate{Keyset: k}, second: records, drop: []string{param, size.param},
			said: fmt.Sprintf("the last record's key sent as %s brought other records", param),
		}
	}
	return nil
}

func underscores(s string) int { return min(strings.Count(s, "_"), 1) }

// style is a way to address pages.
type style struct {
	param  string
	offset bool
	start  int64 // of the URL or the answer; -1: not known
}

// styles are the ways to try, best first: what the URL has, what the answer tells of itself, and then what is common.
func (f *finder) styles() []style {
	var out []style
	query := f.first.asked.Query()
	add := func(names []string, offset bool) {
		for _, name := range names {
			if text := query.Get(name); text != "" {
				if n, err := strconv.ParseInt(text, 10, 64); err == nil {
					out = append(out, style{name, offset, n})
				}
			}
		}
	}
	add(pageParams[:len(pageParams)-2], false)
	add(offsetParams, true)
	told := f.told()
	out = echoed(out, told, offsetParams, true)
	out = echoed(out, told, pageParams, false)
	if len(out) > 0 || !f.hasMore() {
		return out
	}
	page, offset := style{"page", false, -1}, style{"offset", true, -1}
	switch {
	case query.Get("limit") != "":
		return []style{offset, page, {"skip", true, -1}}
	case len(f.place.path) > 0 && f.place.path[0] == "hits":
		return []style{{"from", true, -1}}
	}
	return []style{page, offset, {"skip", true, -1}}
}

// hasMore reports whether there seems to be another page.
func (f *finder) hasMore() bool {
	n := int64(len(f.records))
	full := evidence.Full(f.first.asked, n) != ""
	beyond := len(f.place.rest(f.first).Beyond(n))+len(f.place.rest(f.first).More()) > 0
	counted := f.first.header.Get("X-Total")+f.first.header.Get("X-Total-Count")+f.first.header.Get("X-Wp-Total") != ""
	return full || beyond || counted
}

// echoed adds to out the ways that an answer shows by a field named like one of the parameters. Of offsets, and of page
// numbers, the first counts.
func echoed(out []style, told []evidence.Field, names []string, offset bool) []style {
	for _, field := range told {
		name := field.Path[len(field.Path)-1]
		for _, known := range names {
			if evidence.Plain(known) != evidence.Plain(name) && (offset || evidence.Plain(name) != "currentpage") {
				continue
			}
			n, err := strconv.ParseInt(infer.Text(field.Value), 10, 64)
			if err != nil || slices.ContainsFunc(out, func(s style) bool { return s.offset == offset }) {
				continue
			}
			param := name
			if !offset && evidence.Plain(name) == "currentpage" {
				param = "page"
			}
			out = append(out, style{param, offset, n})
		}
	}
	return out
}

// told are single values at the top of the answer, or a little below.
func (f *finder) told() []evidence.Field {
	return slices.DeleteFunc(f.place.rest(f.first).All(), func(field evidence.Field) bool {
		return len(field.Path) > 3 || field.Value.Kind() != '0' && field.Value.Kind() != '"'
	})
}

// byNumber tries pages with numbers, or offsets.
func (f *finder) byNumber(ctx context.Context) *paging {
	for _, s := range f.styles() {
		var p *paging
		if s.offset {
			p = f.byOffset(ctx, s)
		} else {
			p = f.byPage(ctx, s)
		}
		if p != nil {
			return p
		}
	}
	return nil
}

func with(u *url.URL, pairs ...string) *url.URL {
	c := *u
	q := c.Query()
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	c.RawQuery = q.Encode()
	return &c
}

// byPage tries a parameter with page numbers.
func (f *finder) byPage(ctx context.Context, s style) *paging {
	n := &pipeline.PageNumber{Param: s.param, Start: max(s.start, 0)}
	if s.start < 0 {
		records, err := f.second(ctx, with(f.first.asked, s.param, "1"), "whether "+s.param+"=1 is the first page")
		switch {
		case err != nil:
			return nil
		case f.other(records):
			return f.addressed(ctx, n, nil, records, fmt.Sprintf("%s=1 brought other records than the first page: pages count from 0", s.param))
		}
		n.Start = 1
	}
	next := strconv.FormatInt(n.Start+1, 10)
	records, err := f.second(ctx, with(f.first.asked, s.param, next), "whether "+s.param+"="+next+" is the second page")
	if err != nil || !f.other(records) {
		return nil
	}
	return f.addressed(ctx, n, nil, records, fmt.Sprintf("%s=%s brought other records", s.param, next))
}

// byOffset tries a parameter with the number of records before the page.
func (f *finder) byOffset(ctx context.Context, s style) *paging {
	count := int64(len(f.records))
	o := &pipeline.OffsetLimit{Param: s.param, Limit: int(count), Start: max(s.start, 0)}
	next := o.Start + count
	records, err := f.second(ctx, with(f.first.asked, s.param, strconv.FormatInt(next, 10)), fmt.Sprintf("whether %s=%d is the second page", s.param, next))
	if err != nil || len(records) == 0 {
		return nil
	}
	if o.Start == 0 && f.overlap(records) == 1 && f.id(records[0]) == f.id(f.records[len(f.records)-1]) {
		o.Start = 1
		return f.addressed(ctx, nil, o, records[1:], fmt.Sprintf("%s=%d began with the last record of the first page: offsets count from 1", s.param, next))
	}
	if !f.other(records) {
		return nil
	}
	return f.addressed(ctx, nil, o, records, fmt.Sprintf("%s=%d brought other records", s.param, next))
}

// addressed completes a pagination by numbers or offsets: the size of a page and its end.
func (f *finder) addressed(ctx context.Context, n *pipeline.PageNumber, o *pipeline.OffsetLimit, second []jsontext.Value, said string) *paging {
	p := &paging{paginate: pipeline.Paginate{Page: n, Offset: o}, second: second, said: said}
	size := f.size(ctx, n)
	stop, pastEnd, guess := f.end(ctx, n, o, size.n)
	p.guess = guess
	if n != nil {
		n.SizeParam, n.Size, n.Stop, n.PastEnd = size.param, size.n, stop, pastEnd
		p.drop = []string{n.Param, size.param}
		return p
	}
	o.LimitParam, o.Stop, o.PastEnd = size.param, stop, pastEnd
	if size.n > 0 {
		o.Limit = size.n
	}
	p.drop = []string{o.Param, size.param}
	return p
}
