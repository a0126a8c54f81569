package file

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the zones of time_zone, where the system has none

	"github.com/millrace-io/millrace/pipeline"
)

// version builds what is known of the versions of records.
func (d *decoder) version(f *ingestFile) (field string, rule pipeline.VersionRule) {
	c := &f.Version
	v := &c.v
	switch {
	case !c.set:
		return f.Incremental.v.Field.s, rule
	case c.isWord() && c.word.s == "none":
		return "", rule
	case c.isWord():
		if c.word.ok {
			d.path(&c.word.leaf, c.word.s)
		}
		return c.word.s, rule
	}
	rule = pipeline.VersionRule{As: v.As.s, Scale: int(v.Scale.n), Format: v.Format.s, Missing: v.Missing.s}
	if v.Scale.set && !v.As.set {
		rule.As = "number"
	}
	if v.Format.set && !v.As.set {
		rule.As = "time"
	}
	if v.Scale.set && v.As.ok && rule.As != "number" {
		d.reportf(v.Scale.place, "", "scale is of numbers; as: %s has none", rule.As)
	}
	if v.Format.set && v.As.ok && rule.As != "time" {
		d.reportf(v.Format.place, "", "format is of times; as: %s has none", rule.As)
	}
	if v.Format.ok && !pipeline.OwnFormat(rule.Format) {
		d.reportf(v.Format.place, `write it as in "%d.%m.%Y %H:%M"`, "%s has no directive such as %%Y: forms that are common are known without it", shown(v.Format.place))
	} else {
		d.layout(&v.Format)
	}
	return v.Field.s, rule
}

// layout checks a format that is written as in strftime.
func (d *decoder) layout(format *text) {
	if !format.ok || !pipeline.OwnFormat(format.s) {
		return
	}
	if _, err := pipeline.Layout(format.s); err != nil {
		d.reportf(format.place, "", "%s is not a format: %v", shown(format.place), err)
	}
}

func (d *decoder) timeZone(t *text) string {
	if !t.ok {
		return ""
	}
	if _, err := time.LoadLocation(t.s); err != nil || t.s == "Local" {
		d.reportf(t.place, "write it as in Europe/Berlin or UTC", "%s is no zone of the IANA database", shown(t.place))
		return ""
	}
	return t.s
}

// formats are the words that incremental.format may be, and what start looks like in them.
var formats = map[string]string{
	"rfc3339": "a time such as 2024-01-01T00:00:00Z", "date": "a date such as 2024-01-01", "unix": "a whole number",
	"unix_ms": "a whole number", "unix_us": "a whole number", "unix_ns": "a whole number", "integer": "a whole number",
}

func (d *decoder) incremental(o *object[incrementalFile]) *pipeline.Incremental {
	if !o.ok {
		return nil
	}
	f := &o.v
	in := &pipeline.Incremental{Field: f.Field.s, Param: f.Param.s, Start: f.Start.s, Lookback: f.Lookback.d, Format: f.Format.s, Order: f.Order.s}
	if _, word := formats[in.Format]; f.Format.ok && !word && !pipeline.OwnFormat(in.Format) {
		known := []string{"rfc3339", "date", "unix", "unix_ms", "unix_us", "unix_ns", "integer"}
		f.Format.failf(d, didYouMean(f.Format.node.Value, known, "known"), "%s is not known", shown(f.Format.place))
	}
	d.layout(&f.Format)
	d.start(f)
	in.Window = d.window(f)
	if in.Format == "integer" && in.Lookback != 0 {
		d.reportf(f.Lookback.place, "", "lookback is a time, which format integer knows nothing of")
	}
	return in
}

var wholeNumber = regexp.MustCompile(`^-?\d+$`)

// start checks that since can be asked for as it is written.
func (d *decoder) start(f *incrementalFile) {
	if !f.Start.ok || f.Format.set && !f.Format.ok {
		return
	}
	start, format := f.Start.s, f.Format.s
	var err error
	want := formats[format]
	switch {
	case format == "": // it is sent as it is written, and read as the field is
		if wholeNumber.MatchString(start) || len(start) >= len("2006-01-02") && start[4] == '-' {
			return
		}
		want = "a time such as 2024-01-01T00:00:00Z or a whole number, which need no format"
		err = strconv.ErrSyntax
	case pipeline.OwnFormat(format):
		layout, bad := pipeline.Layout(format)
		if bad != nil {
			return
		}
		want = "such a time"
		_, err = time.Parse(layout, start)
	case format == "rfc3339":
		_, err = time.Parse(time.RFC3339, start)
	case format == "date":
		_, err = time.Parse(time.DateOnly, start)
	default:
		_, err = strconv.ParseInt(start, 10, 64)
	}
	if err != nil && format == "" {
		d.reportf(f.Start.place, "", "%s is not %s", shown(f.Start.place), want)
	} else if err != nil {
		d.reportf(f.Start.place, "", "%s is not %s, as format %s asks", shown(f.Start.place), want, strings.TrimSpace(format))
	}
}
