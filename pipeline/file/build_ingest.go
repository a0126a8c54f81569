package file

import (
	"path"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/internal/expression"
	"github.com/millrace-io/millrace/pipeline"
)

func (d *decoder) ingest(f *ingestFile, at place) pipeline.Ingest {
	in := pipeline.Ingest{
		HTTP:        d.http(&f.httpFile, at),
		Method:      f.Method.s,
		Path:        f.Path.s,
		Body:        d.body(&f.Body),
		Every:       f.Every.d,
		Cron:        d.cron(f),
		Job:         d.job(f),
		Concurrency: int(f.Concurrency.n),
		Paginate:    d.paginate(&f.Paginate, placesOf(f)),
		EmptyPages:  int(f.EmptyPages.n),
		ErrorWhen:   f.ErrorWhen.s,
		Errors:      d.errors(&f.Errors),
		NullIsEmpty: f.NullIsEmpty.on,
		Incremental: d.incremental(&f.Incremental),
	}
	d.checkTexts(f)
	in.Key = d.key(&f.Key, at)
	in.Version, in.VersionRule = d.version(f)
	in.TimeZone = d.timeZone(&f.TimeZone)
	in.Unreadable = f.Unreadable.s
	for _, e := range f.Query.entries {
		if in.Query == nil {
			in.Query = map[string][]string{}
		}
		in.Query[e.name] = e.v.strings()
	}
	d.parameters(f)
	in.BodyFormat, in.CSV = d.format(f)
	if in.ZipEntry = f.ZipEntry.s; f.ZipEntry.ok {
		if _, err := path.Match(in.ZipEntry, ""); err != nil {
			d.reportf(f.ZipEntry.place, "write it as in orders-*.csv", "%s is no pattern", shown(f.ZipEntry.place))
		}
	}
	d.besideRecords(f, &in)
	in.Slices = d.slices(f)
	in.ForEach, in.Add = d.forEach(f)
	in.Deletes = d.deletes(f, &in)
	d.placeholders(f, &in)
	return in
}

// checkTexts reports texts that are not what their keys take.
func (d *decoder) checkTexts(f *ingestFile) {
	if f.ErrorWhen.ok {
		if _, err := expression.Compile(f.ErrorWhen.s); err != nil {
			d.expressionProblem(&f.ErrorWhen, err)
		}
	}
	if f.Path.ok && !strings.HasPrefix(f.Path.s, "/") {
		d.reportf(f.Path.place, "write it as in /orders", "%s does not begin with /", shown(f.Path.place))
	}
	if f.Path.ok && strings.ContainsAny(f.Path.s, "?#") {
		d.reportf(f.Path.place, "put parameters into query", "%s has more than a path", d.urlShown(&f.Path))
	}
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

// parameters reports query parameters that two keys of the file would set.
func (d *decoder) parameters(f *ingestFile) {
	by := map[string]string{}
	setBy := func(t *text, what string) {
		if !t.ok {
			return
		}
		if other, twice := by[t.s]; twice {
			d.reportf(t.place, "leave one of them out", "the parameter %s is set by %s too", t.show(), other)
		}
		by[t.s] = what
	}
	p := &f.Paginate.v
	setBy(&p.Page.v.Param, "paginate.page.param")
	setBy(&p.Page.v.SizeParam, "paginate.page.size_param")
	setBy(&p.Offset.v.Param, "paginate.offset.param")
	setBy(&p.Offset.v.LimitParam, "paginate.offset.limit_param")
	setBy(&p.Cursor.v.Param, "paginate.cursor.param")
	// where it is the same, the cursor goes on from what was kept
	if keep := &p.Cursor.v.Keep.v.Param; keep.s != p.Cursor.v.Param.s {
		setBy(keep, "paginate.cursor.keep.param")
	}
	setBy(&p.Keyset.v.Param, "paginate.keyset.param")
	setBy(&p.Keyset.v.SizeParam, "paginate.keyset.size_param")
	setBy(&f.Incremental.v.Param, "incremental.param")
	setBy(&f.Incremental.v.Window.v.Param, "incremental.window.param")
	setBy(&f.Auth.v.APIKey.v.Param, "auth.api_key.param")
	for _, e := range f.Query.entries {
		if other, twice := by[e.name]; twice {
			d.reportAt(e.key, 0, 0, e.path, "leave one of them out", "the parameter "+quote(e.name)+" is set by "+other+" too")
		}
	}
}
