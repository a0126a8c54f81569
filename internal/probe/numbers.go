package probe

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/evidence"
	"github.com/millrace-io/millrace/internal/infer"
	"github.com/millrace-io/millrace/pipeline"
)

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
func (f *finder) addressed(ctx context.Context, n *pipeline.PageNumber, o *pipeline.OffsetLimit, second []jsontext.Value, seen string) *paging {
	p := &paging{paginate: pipeline.Paginate{Page: n, Offset: o}, second: second, seen: seen}
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
