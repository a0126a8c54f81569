package file

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/millrace-io/millrace/pipeline"
)

func (d *decoder) paginate(c *choice[paginateFile]) pipeline.Paginate {
	f := &c.v
	switch {
	case !c.set:
		return pipeline.Paginate{}
	case c.isWord():
		return pipeline.Paginate{Link: &pipeline.LinkHeader{Rel: f.Link.v.Rel.s}}
	case f.Page.ok:
		p := &f.Page.v
		n := &pipeline.PageNumber{
			Param: p.Param.s, Start: p.Start.n, SizeParam: p.SizeParam.s, Size: int(p.Size.n),
			Stop: stopRule(&p.Stop), PastEnd: d.pastEnd(&p.PastEnd),
		}
		if p.SizeParam.set && !p.Size.set {
			d.reportf(p.SizeParam.place, "", "size_param needs size, the number to send")
		}
		if n.Stop.When == "short" && !p.Size.set {
			d.reportf(p.Stop.place, "", "stop: short needs size: how else is a page known to be short?")
		}
		return pipeline.Paginate{Page: n}
	case f.Offset.ok:
		o := &f.Offset.v
		return pipeline.Paginate{Offset: &pipeline.OffsetLimit{
			Param: o.Param.s, LimitParam: o.LimitParam.s, Limit: int(o.Limit.n), Start: o.Start.n,
			Stop: stopRule(&o.Stop), PastEnd: d.pastEnd(&o.PastEnd),
		}}
	case f.Cursor.ok:
		c := &f.Cursor.v
		return pipeline.Paginate{Cursor: &pipeline.BodyCursor{
			Next: c.Next.fields, Param: c.Param.s, AbsentEnds: c.AbsentEnds.on,
			Stop: stopField(nil, nil, &c.Stop.v.HasMore, &c.Stop.v.End),
		}}
	case f.Link.ok:
		return pipeline.Paginate{Link: &pipeline.LinkHeader{Rel: f.Link.v.Rel.s, AbsentEnds: f.Link.v.AbsentEnds.on}}
	}
	return pipeline.Paginate{}
}

func stopRule(c *choice[stopFile]) pipeline.StopRule {
	if c.isWord() {
		return pipeline.StopRule{When: c.word.s}
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
