package file

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/pipeline"
)

func (d *decoder) ingest(f *ingestFile, at place) pipeline.Ingest {
	in := pipeline.Ingest{
		HTTP:        d.http(&f.httpFile, at),
		Path:        f.Path.s,
		Records:     f.Records.fields,
		Every:       f.Every.d,
		Concurrency: int(f.Concurrency.n),
		Paginate:    d.paginate(&f.Paginate),
		Incremental: d.incremental(&f.Incremental),
	}
	if f.Path.ok && !strings.HasPrefix(f.Path.s, "/") {
		d.reportf(f.Path.place, "write it as in /orders", "%s does not begin with /", shown(f.Path.place))
	}
	if f.Path.ok && strings.ContainsAny(f.Path.s, "?#") {
		d.reportf(f.Path.place, "put parameters into query", "%s has more than a path", d.urlShown(&f.Path))
	}
	in.Key = d.key(&f.Key, at)
	in.Version = d.version(f)
	for _, e := range f.Query.entries {
		if in.Query == nil {
			in.Query = map[string]string{}
		}
		in.Query[e.name] = e.v.s
	}
	d.parameters(f)
	d.besideRecords(f)
	in.Slices = d.slices(f)
	return in
}

func (d *decoder) key(f *dottedPaths, at place) []string {
	if !f.set {
		d.reportf(at, "name the field, or the list of fields, that tells one record from another", `"key" is missing`)
		return nil
	}
	var out []string
	for i := range f.list {
		if v := &f.list[i]; v.ok && slices.Contains(out, v.s) {
			d.reportf(v.place, "", "%s stands here twice", shown(v.place))
		}
		out = append(out, f.list[i].s)
	}
	return out
}

func (d *decoder) version(f *ingestFile) string {
	switch v := &f.Version; {
	case !v.set:
		return f.Incremental.v.Field.s
	case v.s == "none":
		return ""
	default:
		if v.ok {
			d.path(&v.leaf, v.s)
		}
		return v.s
	}
}

// besideRecords reports fields of the body that cannot be found, because they lie in the array of records.
func (d *decoder) besideRecords(f *ingestFile) {
	if !f.Records.ok {
		return
	}
	p := &f.Paginate.v
	for _, field := range []*dottedPath{
		&p.Cursor.v.Next, &p.Page.v.Stop.v.Total, &p.Page.v.Stop.v.HasMore, &p.Offset.v.Stop.v.Total, &p.Offset.v.Stop.v.HasMore,
	} {
		if field.ok && strings.HasPrefix(strings.Join(field.fields, ".")+".", strings.Join(f.Records.fields, ".")+".") {
			d.reportf(field.place, "name a field of the body that lies beside the records", "%s lies in the array of records, %s",
				shown(field.place), shown(f.Records.place))
		}
	}
}

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

func (d *decoder) incremental(o *object[incrementalFile]) *pipeline.Incremental {
	if !o.ok {
		return nil
	}
	f := &o.v
	in := &pipeline.Incremental{Field: f.Field.s, Param: f.Param.s, Start: f.Start.s, Lookback: f.Lookback.d, Format: f.Format.s}
	if f.Start.ok && (f.Format.ok || !f.Format.set) {
		var err error
		want := "a whole number"
		if in.Format == "rfc3339" {
			want = "a time such as 2024-01-01T00:00:00Z"
			_, err = time.Parse(time.RFC3339, f.Start.s)
		} else {
			_, err = strconv.ParseInt(f.Start.s, 10, 64)
		}
		if err != nil {
			d.reportf(f.Start.place, "", "%s is not %s, as format %s asks", shown(f.Start.place), want, in.Format)
		}
	}
	if in.Format == "integer" && in.Lookback != 0 {
		d.reportf(f.Lookback.place, "", "lookback is a time, which format integer knows nothing of")
	}
	return in
}

// parameters reports query parameters that two keys of the file would set.
func (d *decoder) parameters(f *ingestFile) {
	by := map[string]string{}
	take := func(t *text, what string) {
		if !t.ok {
			return
		}
		if other, twice := by[t.s]; twice {
			d.reportf(t.place, "", "the parameter %s is set by %s too", t.show(), other)
		}
		by[t.s] = what
	}
	p := &f.Paginate.v
	take(&p.Page.v.Param, "paginate.page.param")
	take(&p.Page.v.SizeParam, "paginate.page.size_param")
	take(&p.Offset.v.Param, "paginate.offset.param")
	take(&p.Offset.v.LimitParam, "paginate.offset.limit_param")
	take(&p.Cursor.v.Param, "paginate.cursor.param")
	take(&f.Incremental.v.Param, "incremental.param")
	take(&f.Auth.v.APIKey.v.Param, "auth.api_key.param")
	for _, e := range f.Query.entries {
		if other, twice := by[e.name]; twice {
			d.reportAt(e.key, 0, 0, e.path, "", "the parameter "+quote(e.name)+" is set by "+other+" too")
		}
	}
}

var (
	placeholder = regexp.MustCompile(`(^|[^$])\{([A-Za-z_][A-Za-z0-9_]*)\}`)
	sliceName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// slices builds the slices, and checks that {name} stands for them where it is used, and is used.
func (d *decoder) slices(f *ingestFile) *pipeline.Slices {
	var s *pipeline.Slices
	var known []string
	if len(f.Slices.entries) > 0 {
		e := &f.Slices.entries[0]
		s = &pipeline.Slices{Name: e.name, Values: e.v.strings()}
		known = []string{e.name}
		if !sliceName.MatchString(e.name) {
			d.reportAt(e.key, 0, 0, e.path, "", quote(e.name)+" cannot be the name of a slice: letters, digits and _, and no digit first")
		}
		seen := map[string]bool{}
		for i := range e.v.list {
			v := &e.v.list[i]
			if v.ok && seen[v.s] {
				d.reportf(v.place, "", "%s stands here twice", shown(v.place))
			}
			seen[v.s] = true
		}
	}
	used := false
	check := func(t *text) {
		for _, m := range placeholder.FindAllStringSubmatch(t.s, -1) {
			if slices.Contains(known, m[2]) {
				used = true
			} else if t.ok && !t.refs {
				d.reportf(t.place, didYouMean(m[2], known, "known slices"), "{%s} stands for nothing: there is no slice of that name", m[2])
			}
		}
	}
	check(&f.Path)
	for i := range f.Query.entries {
		check(&f.Query.entries[i].v)
	}
	if s != nil && !used {
		d.reportf(f.Slices.place, "put {"+s.Name+"} into path or a value of query", "every slice would fetch the same: {%s} is used nowhere", s.Name)
	}
	return s
}
