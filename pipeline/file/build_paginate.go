package file

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/millrace-io/millrace/pipeline"
)

func (d *decoder) paginate(c *choice[paginateFile], at places) pipeline.Paginate {
	f := &c.v
	switch {
	case !c.set:
		return pipeline.Paginate{}
	case c.isWord() && c.word.s == "auto":
		return pipeline.Paginate{Auto: true}
	case c.isWord():
		return pipeline.Paginate{Link: &pipeline.LinkHeader{Rel: f.Link.v.Rel.s}}
	case f.Page.ok:
		return pipeline.Paginate{Page: d.pageNumber(&f.Page, at)}
	case f.Offset.ok:
		o := &f.Offset.v
		d.takesCursor(&o.Param, f.Offset.place, at)
		return pipeline.Paginate{Offset: &pipeline.OffsetLimit{
			Param: o.Param.s, LimitParam: o.LimitParam.s, Limit: int(o.Limit.n), Start: o.Start.n,
			Stop: stopRule(&o.Stop), PastEnd: d.pastEnd(&o.PastEnd),
		}}
	case f.Cursor.ok:
		return pipeline.Paginate{Cursor: d.bodyCursor(&f.Cursor.v, at)}
	case f.Relay.ok:
		return pipeline.Paginate{Cursor: d.relay(&f.Relay, at)}
	case f.Keyset.ok:
		return pipeline.Paginate{Keyset: d.keyset(&f.Keyset, at)}
	case f.Link.ok:
		l := &f.Link.v
		return pipeline.Paginate{Link: &pipeline.LinkHeader{Rel: l.Rel.s, Params: l.As.s == pipeline.CursorParams, AbsentEnds: l.AbsentEnds.on}}
	}
	return pipeline.Paginate{}
}

func (d *decoder) pageNumber(f *object[pageFile], at places) *pipeline.PageNumber {
	p := &f.v
	n := &pipeline.PageNumber{
		Param: p.Param.s, Start: p.Start.n, SizeParam: p.SizeParam.s, Size: int(p.Size.n),
		Stop: stopRule(&p.Stop), PastEnd: d.pastEnd(&p.PastEnd),
	}
	d.takesCursor(&p.Param, f.place, at)
	d.sized(&p.SizeParam, &p.Size, &p.Stop)
	return n
}

// relay builds the pagination of a connection of GraphQL.
func (d *decoder) relay(f *dottedPath, at places) *pipeline.BodyCursor {
	if !at.holds(pipeline.PlaceCursor) {
		d.reportf(f.place, `write it as in variables: {after: "{cursor}"}`, "no variable of the query takes {cursor}")
	}
	info := func(name string) []string { return append(slices.Clip(f.fields), name) }
	return &pipeline.BodyCursor{
		Next: info("endCursor"), Placed: true, Stop: pipeline.StopRule{When: "has_more", Field: info("hasNextPage")},
	}
}

func (d *decoder) keyset(f *object[keysetFile], at places) *pipeline.Keyset {
	k := &f.v
	d.takesCursor(&k.Param, f.place, at)
	d.sized(&k.SizeParam, &k.Size, &k.Stop)
	return &pipeline.Keyset{
		Field: k.Field.fields, Param: k.Param.s, First: k.First.s, SizeParam: k.SizeParam.s, Size: int(k.Size.n),
		Stop: stopRule(&k.Stop),
	}
}

// takesCursor checks that a pagination has a parameter, or a place in the request.
func (d *decoder) takesCursor(param *text, p place, at places) {
	if !param.set && !at.holds(pipeline.PlaceCursor) {
		d.reportf(p, "set param, or put {cursor} into query, path, headers or body", "nothing in the request says which page is asked for")
	}
}

func (d *decoder) sized(param *text, size *integer, stop *choice[stopFile]) {
	if param.set && !size.set {
		d.reportf(param.place, "", "size_param needs size, the number to send")
	}
	if stop.isWord() && stop.word.s == "short" && !size.set {
		d.reportf(stop.place, "", "stop: short needs size: how else is a page known to be short?")
	}
}

// bodyCursor builds a cursor that a page gives.
func (d *decoder) bodyCursor(f *cursorFile, at places) *pipeline.BodyCursor {
	c := &pipeline.BodyCursor{
		Next: f.Next.fields, Header: f.Header.s, As: f.As.s, Take: f.Take.s, Param: f.Param.s, First: f.First.s, AbsentEnds: f.AbsentEnds.on,
		Placed: !f.Param.set && at.holds(pipeline.PlaceCursor),
		Stop:   stopField(nil, nil, &f.Stop.v.HasMore, &f.Stop.v.End),
	}
	value := c.As == pipeline.CursorValue || c.As == "" && (f.Param.set || c.Placed)
	switch {
	case c.As == pipeline.CursorValue && !f.Param.set && !c.Placed:
		d.reportf(f.As.place, "set param, or put {cursor} into query, path, headers or body", "nothing in the request takes the cursor")
	case !value && f.Param.set:
		d.reportf(f.Param.place, "", "param takes a cursor that is sent back as it is, and as is %s", f.As.s)
	case !value && f.Take.set:
		d.reportf(f.Take.place, "set param, which takes it", "take is of a cursor that is sent back, and this one is followed")
	case f.Header.set && c.As == pipeline.CursorMembers:
		d.reportf(f.As.place, "", "a header holds no object")
	}
	if f.Header.ok {
		d.headerName(f.Header.place, f.Header.s)
	}
	if f.Keep.ok {
		k := &f.Keep.v
		c.Keep = &pipeline.Keep{Field: k.Field.fields, Param: k.Param.s}
		if !k.Field.set {
			c.Keep.Field = c.Next
		}
		if c.Keep.Field == nil {
			d.reportf(f.Keep.place, "", "keep needs field, the path of the position in the body")
		}
		if c.As == pipeline.CursorMembers && !k.Param.set {
			d.reportf(f.Keep.place, "", "keep needs param: what is kept is one value, and the cursor is several")
		}
		if c.Keep.Param == c.Param { // it takes the place of the first cursor
			c.Keep.Param = ""
		}
	}
	return c
}

func stopRule(c *choice[stopFile]) pipeline.StopRule {
	if c.isWord() {
		return pipeline.StopRule{When: c.word.s}
	}
	switch v := &c.v; {
	case v.TotalHeader.set:
		return pipeline.StopRule{When: "total", Header: v.TotalHeader.s}
	case v.PagesHeader.set:
		return pipeline.StopRule{When: "pages", Header: v.PagesHeader.s}
	}
	return stopField(&c.v.Total, &c.v.Pages, &c.v.HasMore, &c.v.End)
}

func stopField(total, pages, hasMore, end *dottedPath) pipeline.StopRule {
	switch {
	case total != nil && total.set:
		return pipeline.StopRule{When: "total", Field: total.fields}
	case pages != nil && pages.set:
		return pipeline.StopRule{When: "pages", Field: pages.fields}
	case hasMore.set:
		return pipeline.StopRule{When: "has_more", Field: hasMore.fields}
	case end.set:
		return pipeline.StopRule{When: "end", Field: end.fields}
	}
	return pipeline.StopRule{}
}

// pastEnd reads statuses that may mean that there is no such page: 4xx, but for those that are about who asks, or how
// often.
func (d *decoder) pastEnd(f *texts) []int {
	var statuses []int
	for i := range f.list {
		v := &f.list[i]
		n, err := strconv.Atoi(v.s)
		switch {
		case !v.ok:
			continue
		case err != nil || n < 400 || n > 499 || slices.Contains(notPastEnd, n):
			d.reportf(v.place, "want a status such as 404 or 400", "%s cannot mean that there is no such page", shown(v.place))
		}
		statuses = append(statuses, n)
	}
	return statuses
}

var notPastEnd = []int{
	http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired, http.StatusRequestTimeout,
	http.StatusTooEarly, http.StatusTooManyRequests,
}
