package probe

import (
	"context"
	"fmt"
	"net/url"
	"slices"
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
	seen     string
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
		return &paging{seen: "the answer is all there is"}
	}
	for _, try := range []func(context.Context) *paging{f.byLink, f.byURL, f.byFeed, f.byToken, f.byKeyset, f.byNumber} {
		if p := try(ctx); p != nil {
			return p
		}
	}
	p := &paging{seen: "nothing in the answer leads to another page"}
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
	p := &paging{paginate: pipeline.Paginate{Link: &pipeline.LinkHeader{Rel: "next", AbsentEnds: true}}, seen: "the Link header names the next page"}
	records, ok := f.follow(ctx, p.paginate, "the page that the Link header names")
	switch {
	case !ok:
		return nil
	case f.other(records):
		p.second = records
		p.seen += "; it had other records"
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
		p := &paging{paginate: pipeline.Paginate{Cursor: c}, seen: pipeline.FormatPath(field.Path) + " is the URL of the next page"}
		records, ok := f.follow(ctx, p.paginate, "the page that "+pipeline.FormatPath(field.Path)+" names")
		if !ok || !f.other(records) {
			continue
		}
		p.second = records
		p.seen += "; it had other records"
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
			p.seen = fmt.Sprintf("%s sent as %s brought other records", pipeline.FormatPath(field.Path), param)
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
			seen: fmt.Sprintf("the last record's key sent as %s brought other records", param),
		}
	}
	return nil
}

func underscores(s string) int { return min(strings.Count(s, "_"), 1) }

func with(u *url.URL, pairs ...string) *url.URL {
	c := *u
	q := c.Query()
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	c.RawQuery = q.Encode()
	return &c
}
