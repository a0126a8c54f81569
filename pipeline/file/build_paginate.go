package file

import (
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
		n := &pipeline.PageNumber{Param: p.Param.s, Start: p.Start.n, SizeParam: p.SizeParam.s, Size: int(p.Size.n), Stop: stopRule(&p.Stop)}
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
			Param: o.Param.s, LimitParam: o.LimitParam.s, Limit: int(o.Limit.n), Start: o.Start.n, Stop: stopRule(&o.Stop),
		}}
	case f.Cursor.ok:
		return pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: f.Cursor.v.Next.fields, Param: f.Cursor.v.Param.s}}
	case f.Link.ok:
		return pipeline.Paginate{Link: &pipeline.LinkHeader{Rel: f.Link.v.Rel.s}}
	}
	return pipeline.Paginate{}
}

func stopRule(c *choice[stopFile]) pipeline.StopRule {
	switch {
	case c.isWord():
		return pipeline.StopRule{When: c.word.s}
	case c.v.Total.set:
		return pipeline.StopRule{When: "total", Field: c.v.Total.fields}
	}
	return pipeline.StopRule{When: "has_more", Field: c.v.HasMore.fields}
}
