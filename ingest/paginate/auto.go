package paginate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/evidence"
	"github.com/millrace-io/millrace/pipeline"
)

// Detector is a [Pager] that is to be replaced by the one that the first page shows.
type Detector interface {
	Pager

	// Detect is what the first page shows of how pages follow one another, and what it is taken from; found is false if
	// it shows nothing.
	Detect(page *Page) (p pipeline.Paginate, from string, found bool)
}

// auto is a pagination that is not known. A page that shows nothing is the only one.
type auto struct{ single }

func newAuto(p pipeline.Paginate) Pager {
	if !p.Auto {
		return nil
	}
	return auto{}
}

func (auto) Identity() []string { return []string{"auto"} }

// Next ends the pass if nothing says that there is more.
func (auto) Next(p Position, page *Page) (Position, Reason, error) {
	next := p.after(page)
	if page.Nothing != 0 {
		return next, page.noContent(), nil
	}
	body := evidence.Read(page.Rest)
	n := int64(page.Records)
	if found := append(body.More(), body.Beyond(n)...); len(found) > 0 {
		return next, GoesOn, &MoreError{
			Lacks: "shows nothing that paginate: auto can follow", Found: found, Names: body.Names(),
			Hint: "declare paginate; or leave it out, if this page is all there is",
		}
	}
	if asked := evidence.AsAsked(page.Asked, n); asked != "" && !body.NoMore() && !body.Total(n) {
		page.Doubt = "the pass is one page, because it shows nothing that paginate: auto can follow, but " + asked + ": declare paginate if there are more"
	}
	return next, OnlyPage, nil
}

// Detect goes from what is sure to what is less so: a link, a URL, a cursor, a number of pages, of records, a page
// number in the request.
func (auto) Detect(page *Page) (p pipeline.Paginate, from string, found bool) {
	if page.Nothing != 0 {
		return p, "", false
	}
	if findLink(linkHeader(page), "next") != "" {
		return pipeline.Paginate{Link: &pipeline.LinkHeader{Rel: "next", AbsentEnds: true}}, "the Link header", true
	}
	fields := evidence.Read(page.Rest).All()
	for _, detect := range []func(*Page, []evidence.Field) (pipeline.Paginate, string){detectURL, detectCursor, detectPages, detectTotal, detectNumber} {
		if p, from = detect(page, fields); from != "" {
			return p, from, true
		}
	}
	return p, "", false
}

// leading is the text of a field that leads to another page; empty: it does not.
func leading(fields []evidence.Field, f evidence.Field) string {
	name := evidence.Plain(f.Path[len(f.Path)-1])
	inNext := len(f.Path) > 1 && evidence.Plain(f.Path[len(f.Path)-2]) == "next" && slices.Contains([]string{"href", "url", "uri", "link"}, name)
	ended := slices.ContainsFunc(fields, func(f evidence.Field) bool {
		return f.Role == evidence.SaysMore && f.Value.Kind() == 'f' || f.Role == evidence.SaysLast && f.Value.Kind() == 't'
	})
	if ended || name == "nextsynctoken" || f.Role != evidence.LeadsOn && !inNext {
		return ""
	}
	text, _, err := valueText(f.Value)
	if err != nil || f.Value.Kind() == '{' || f.Value.Kind() == '[' {
		return ""
	}
	return text
}

func isURL(text string) bool {
	return strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "/") || strings.HasPrefix(text, "?")
}

func detectURL(_ *Page, fields []evidence.Field) (pipeline.Paginate, string) {
	for _, f := range fields {
		if isURL(leading(fields, f)) {
			return pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: f.Path, AbsentEnds: true}}, "the URL in " + pipeline.FormatPath(f.Path)
		}
	}
	return pipeline.Paginate{}, ""
}

// cursorParams are the parameters that take the cursor of a field, by its name without signs: that of a field written
// with _, and of another.
var cursorParams = map[string][2]string{
	"nextpagetoken": {"page_token", "pageToken"}, "nextcursor": {"cursor", "cursor"}, "nexttoken": {"next_token", "nextToken"},
	"continuationtoken": {"continuation_token", "continuationToken"}, "nextpagecursor": {"cursor", "cursor"}, "nextmarker": {"marker", "marker"},
	"paginationtoken": {"pagination_token", "paginationToken"}, "nextoffset": {"offset", "offset"}, "nextpage": {"page", "page"},
}

func detectCursor(_ *Page, fields []evidence.Field) (pipeline.Paginate, string) {
	for _, f := range fields {
		name := f.Path[len(f.Path)-1]
		params, known := cursorParams[evidence.Plain(name)]
		if !known || leading(fields, f) == "" {
			continue
		}
		param := params[1]
		if strings.Contains(name, "_") {
			param = params[0]
		}
		return pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: f.Path, Param: param, AbsentEnds: true}},
			pipeline.FormatPath(f.Path) + ", which the parameter " + param + " takes"
	}
	return pipeline.Paginate{}, ""
}

var (
	pageNames   = []string{"page", "pagenumber", "currentpage", "pageno", "pageindex", "paged", "p"}
	offsetNames = []string{"offset", "skip", "startat", "startindex", "firstresult"}
)

// numbered is a parameter with the number of the first page, or its offset, in the request or in the answer.
func numbered(page *Page, fields []evidence.Field, names []string) (param string, first int64, found bool) {
	if page.Asked != nil {
		for name, values := range page.Asked.Query() {
			if n, err := strconv.ParseInt(values[0], 10, 64); err == nil && slices.Contains(names, evidence.Plain(name)) {
				return name, n, true
			}
		}
	}
	for _, f := range fields {
		name := f.Path[len(f.Path)-1]
		n, ok := number(f.Value)
		if !ok || !slices.Contains(names, evidence.Plain(name)) {
			continue
		}
		if slices.Contains([]string{"currentpage", "pagenumber", "pageindex"}, evidence.Plain(name)) {
			name = "page"
		}
		return name, n, true
	}
	return "", 0, false
}

// counted is a field, or a header, that counts all pages, or all records.
func counted(page *Page, fields []evidence.Field, role evidence.Role, least int64, headers []string) (rule pipeline.StopRule, from string) {
	for _, f := range fields {
		if n, ok := number(f.Value); ok && f.Role == role && n > least {
			return pipeline.StopRule{Field: f.Path}, pipeline.FormatPath(f.Path)
		}
	}
	for _, name := range headers {
		if n, ok := number(jsontext.Value(page.Header.Get(name))); ok && n > least {
			return pipeline.StopRule{Header: name}, name
		}
	}
	return rule, ""
}

// detectPages takes a number of pages. The parameter is page unless something shows another.
func detectPages(page *Page, fields []evidence.Field) (pipeline.Paginate, string) {
	rule, from := counted(page, fields, evidence.AllPages, 1, []string{"X-Total-Pages", "X-Wp-Totalpages"})
	if from == "" {
		return pipeline.Paginate{}, ""
	}
	rule.When = "pages"
	param, first, found := numbered(page, fields, pageNames)
	if !found {
		param, first = "page", 1
	}
	return pipeline.Paginate{Page: &pipeline.PageNumber{Param: param, Start: first, Stop: rule}}, from + ", and the parameter " + param
}

// detectTotal takes a number of records, where a parameter for the offset or the page shows.
func detectTotal(page *Page, fields []evidence.Field) (pipeline.Paginate, string) {
	rule, from := counted(page, fields, evidence.AllCount, int64(page.Records), []string{"X-Total-Count", "X-Total", "X-Wp-Total"})
	if from == "" || page.Records == 0 {
		return pipeline.Paginate{}, ""
	}
	rule.When = "total"
	if param, first, ok := numbered(page, fields, offsetNames); ok {
		return pipeline.Paginate{Offset: &pipeline.OffsetLimit{Param: param, Limit: page.Records, Start: first, Stop: rule}}, from + ", and the parameter " + param
	}
	if param, first, ok := numbered(page, fields, pageNames); ok {
		return pipeline.Paginate{Page: &pipeline.PageNumber{Param: param, Start: first, Size: page.Records, Stop: rule}}, from + ", and the parameter " + param
	}
	return pipeline.Paginate{}, ""
}

// detectNumber takes a parameter of the request that has the number of a page.
func detectNumber(page *Page, _ []evidence.Field) (pipeline.Paginate, string) {
	if page.Records == 0 {
		return pipeline.Paginate{}, ""
	}
	if param, first, ok := numbered(page, nil, pageNames); ok {
		return pipeline.Paginate{Page: &pipeline.PageNumber{Param: param, Start: first}}, "the parameter " + param
	}
	if param, first, ok := numbered(page, nil, offsetNames); ok {
		return pipeline.Paginate{Offset: &pipeline.OffsetLimit{Param: param, Limit: page.Records, Start: first}}, "the parameter " + param
	}
	return pipeline.Paginate{}, ""
}

// Found are the values of a page's fields that a pager wants, taken out of what the answer has besides its records.
func Found(pager Pager, page *Page) []jsontext.Value {
	fields := evidence.Read(page.Rest).All()
	var out []jsontext.Value
	for _, path := range pager.Wants().Fields {
		i := slices.IndexFunc(fields, func(f evidence.Field) bool { return slices.Equal(f.Path, path) })
		if i < 0 {
			out = append(out, nil)
			continue
		}
		out = append(out, fields[i].Value)
	}
	return out
}
