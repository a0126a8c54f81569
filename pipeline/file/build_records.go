package file

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/millrace-io/millrace/pipeline"
)

// records builds where the records are and how they stand there.
func (d *decoder) records(f *ingestFile) (path []string, at *leaf, shape pipeline.Shape) {
	r := &f.Records
	shape.As = onlyKey(&f.Key)
	if !r.set || r.isWord() {
		at = &r.leaf
		if r.isWord() && r.ok {
			path = d.path(at, r.word.s)
		}
		return path, at, shape
	}
	of := &r.v
	shape.KeyAs = of.KeyAs.s
	if of.As.set {
		shape.As = of.As.s
	}
	for kind, t := range map[string]*text{
		pipeline.ShapeArray: &of.Array, pipeline.ShapeMap: &of.Map, pipeline.ShapeObject: &of.Object, pipeline.ShapeValues: &of.Values,
		pipeline.ShapeRows: &of.Rows,
	} {
		if !t.set {
			continue
		}
		shape.Kind, at = kind, &t.leaf
		if t.ok && t.s != wholeBody {
			path = d.path(at, t.s)
		}
	}
	if at == nil { // none of them: reported
		return nil, &r.leaf, shape
	}
	if shape.Kind == pipeline.ShapeMap && !of.As.set || shape.As == "" {
		shape.As = "value"
	}
	d.checkShape(f, shape.Kind)
	d.rows(f, &shape)
	return path, at, shape
}

// checkShape reports what does not go with records that stand as kind says.
func (d *decoder) checkShape(f *ingestFile, kind string) {
	of := &f.Records.v
	if of.KeyAs.set && kind != pipeline.ShapeMap {
		d.reportf(of.KeyAs.place, "", "key_as takes the names of a map's members, and this is none")
	}
	if of.As.set && kind != pipeline.ShapeMap && kind != pipeline.ShapeValues {
		d.reportf(of.As.place, "", "as takes values that are no objects, of values or of a map")
	}
	if of.As.set && of.As.s == of.KeyAs.s {
		d.reportf(of.As.place, "", "as and key_as are the same field")
	}
	if lines := linesOf(f); lines != "" && kind != pipeline.ShapeArray && kind != pipeline.ShapeValues {
		d.reportf(f.BodyFormat.place, "", "of %s each line is a record: it has no %s of records", lines, kind)
	}
}

// rows builds where rows have the names of their values.
func (d *decoder) rows(f *ingestFile, shape *pipeline.Shape) {
	of := &f.Records.v
	if shape.Kind != pipeline.ShapeRows {
		if of.Columns.set || of.Names.set {
			d.reportf(f.Records.place, "", "columns and names are of rows, and there are none")
		}
		return
	}
	shape.Columns, shape.Names = of.Columns.fields, of.Names.strings()
	if of.Columns.set && of.Names.set {
		d.reportf(of.Names.place, "keep one of them", "columns and names exclude each other")
	}
	if len(shape.Names) == 0 {
		shape.Names = nil
	}
}

// wholeBody stands for the path to the body itself.
const wholeBody = "$"

// onlyKey is the field of a key of one field that is no path; empty: the key is another.
func onlyKey(key *dottedPaths) string {
	list := slices.DeleteFunc(slices.Clone(key.list), func(p dottedPath) bool { return p.s == pipeline.SliceField })
	if len(list) == 1 && len(list[0].fields) == 1 {
		return list[0].fields[0]
	}
	return ""
}

// besideRecords sets the records, and reports fields of the body that cannot be found, because they lie among the
// records.
func (d *decoder) besideRecords(f *ingestFile, in *pipeline.Ingest) {
	records, at, shape := d.records(f)
	in.Records, in.Shape = records, shape
	p := &f.Paginate.v
	for _, field := range []*dottedPath{
		&p.Cursor.v.Next, &p.Cursor.v.Stop.v.HasMore, &p.Cursor.v.Stop.v.End, &p.Cursor.v.Keep.v.Field, &p.Relay,
		&p.Keyset.v.Stop.v.Total, &p.Keyset.v.Stop.v.Pages, &p.Keyset.v.Stop.v.HasMore, &p.Keyset.v.Stop.v.End,
		&p.Page.v.Stop.v.Total, &p.Page.v.Stop.v.Pages, &p.Page.v.Stop.v.HasMore, &p.Page.v.Stop.v.End,
		&p.Offset.v.Stop.v.Total, &p.Offset.v.Stop.v.Pages, &p.Offset.v.Stop.v.HasMore, &p.Offset.v.Stop.v.End,
	} {
		switch {
		case !field.ok:
		case linesOf(f) != "":
			d.reportf(field.place, "", "%s has nothing but records: there is no %s beside them", linesOf(f), shown(field.place))
		case len(records) == 0 && (shape.Kind == pipeline.ShapeMap || shape.Kind == pipeline.ShapeObject):
			d.reportf(field.place, "", "the whole body is records: there is no %s beside them", shown(field.place))
		case len(records) > 0 && at.ok && strings.HasPrefix(strings.Join(field.fields, ".")+".", strings.Join(records, ".")+"."):
			d.reportf(field.place, "name a field of the body that lies beside the records", "%s lies in the array of records, %s",
				shown(field.place), shown(at.place))
		}
	}
	if lines := linesOf(f); lines != "" && len(records) > 0 {
		d.reportf(at.place, "leave records out", "of %s each line is a record: there is no path to them", lines)
	}
	if in.BodyFormat == "xml" && len(records) == 0 {
		d.reportf(f.BodyFormat.place, "set records, from the root element on: feed.entry", "of xml it must be known which elements are the records")
	}
}

// linesOf is the format whose lines are the records; empty: it is another.
func linesOf(f *ingestFile) string {
	switch {
	case f.BodyFormat.v.CSV.set, f.BodyFormat.word.s == "csv":
		return "csv"
	case f.BodyFormat.word.s == "ndjson":
		return "ndjson"
	}
	return ""
}

// format builds how a body is written.
func (d *decoder) format(f *ingestFile) (string, pipeline.CSV) {
	if !f.BodyFormat.v.CSV.set {
		return f.BodyFormat.word.s, pipeline.CSV{}
	}
	c := &f.BodyFormat.v.CSV.v
	csv := pipeline.CSV{Delimiter: c.Delimiter.s}
	if c.Names.set {
		csv.Names = c.Names.strings()
	}
	switch {
	case csv.Delimiter == "tab":
		csv.Delimiter = "\t"
	case c.Delimiter.ok && (utf8.RuneCountInString(csv.Delimiter) != 1 || strings.ContainsAny(csv.Delimiter, "\"\r\n")):
		d.reportf(c.Delimiter.place, "write it as in ; or tab", "%s is not one character that can stand between fields", shown(c.Delimiter.place))
	}
	return "csv", csv
}
