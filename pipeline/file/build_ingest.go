package file

import (
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
	setBy := func(t *text, what string) {
		if !t.ok {
			return
		}
		if other, twice := by[t.s]; twice {
			d.reportf(t.place, "", "the parameter %s is set by %s too", t.show(), other)
		}
		by[t.s] = what
	}
	p := &f.Paginate.v
	setBy(&p.Page.v.Param, "paginate.page.param")
	setBy(&p.Page.v.SizeParam, "paginate.page.size_param")
	setBy(&p.Offset.v.Param, "paginate.offset.param")
	setBy(&p.Offset.v.LimitParam, "paginate.offset.limit_param")
	setBy(&p.Cursor.v.Param, "paginate.cursor.param")
	setBy(&f.Incremental.v.Param, "incremental.param")
	setBy(&f.Auth.v.APIKey.v.Param, "auth.api_key.param")
	for _, e := range f.Query.entries {
		if other, twice := by[e.name]; twice {
			d.reportAt(e.key, 0, 0, e.path, "", "the parameter "+quote(e.name)+" is set by "+other+" too")
		}
	}
}
