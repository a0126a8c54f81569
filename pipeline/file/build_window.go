package file

import (
	"strings"
	"time"

	"github.com/millrace-io/millrace/pipeline"
)

// window builds how the past is cut.
func (d *decoder) window(f *incrementalFile) *pipeline.Window {
	o := &f.Window
	if !o.ok {
		return nil
	}
	w := &o.v
	day := 24 * time.Hour
	if !f.Start.set {
		d.reportf(o.place, "set incremental.start", "windows need a time to begin from")
	}
	if f.Format.s == "integer" {
		d.reportf(o.place, "", "windows are of time, which format integer knows nothing of")
	}
	switch days := sendsDays(f); {
	case w.Bounds.s == "days" && !days && f.Start.ok:
		d.reportf(w.Bounds.place, "set format: date", "bounds: days is of parameters without a time of day")
	case days && w.Step.ok && w.Step.d%day != 0:
		d.reportf(w.Step.place, "write it as in 1d", "%s is no number of whole days, and the parameters have no time of day", shown(w.Step.place))
	}
	return &pipeline.Window{Step: w.Step.d, Param: w.Param.s, Bounds: w.Bounds.s, AtOnce: int(w.AtOnce.n), MaxResults: int(w.MaxResults.n)}
}

// sendsDays reports whether the parameters have no time of day.
func sendsDays(f *incrementalFile) bool {
	switch {
	case f.Format.s == "date":
		return true
	case pipeline.OwnFormat(f.Format.s):
		layout, err := pipeline.Layout(f.Format.s)
		return err == nil && !strings.Contains(layout, "15") && !strings.Contains(layout, "03")
	}
	return f.Format.s == "" && len(f.Start.s) == len(time.DateOnly) && !wholeNumber.MatchString(f.Start.s)
}

// windowed checks what windows ask of the other keys.
func (d *decoder) windowed(f *ingestFile, in *pipeline.Ingest, at places) {
	for i := range f.Errors.items {
		if e := &f.Errors.items[i].v.Do; e.s == "split" && (in.Incremental == nil || in.Incremental.Window == nil) {
			d.reportf(e.place, "set incremental.window", "there are no windows that could be cut")
		}
	}
	if in.Incremental == nil || in.Incremental.Window == nil {
		return
	}
	w := &f.Incremental.v.Window
	if in.Incremental.Window.Param == "" && !at.holds(pipeline.PlaceUntil) {
		d.reportf(w.place, "set param, or put {until} into query, path, headers or body", "nothing in the request says where a window ends")
	}
	if in.ForEach != nil {
		d.reportf(w.place, "", "a stream that is fetched for each record of another has no windows: there may be thousands of its slices")
	}
	if in.Deletes != nil {
		d.reportf(w.place, "", "deletes need passes that ask for everything at once, and windows are for APIs that cannot give that")
	}
	if in.Job != nil {
		d.reportf(w.place, "", "a stream whose answers come as reports (job) has no windows")
	}
	if in.Paginate.Auto {
		d.reportf(w.place, "declare paginate: millrace preview shows what auto takes", "windows are fetched at once, so that it must be known how pages follow one another")
	}
	if in.Version == "" {
		d.reportf(w.place, "leave version out, or name a field", "windows are fetched beside what is new, so that an old revision may come late: it is known by its version alone")
	}
	if in.Paginate.Cursor != nil && in.Paginate.Cursor.Keep != nil {
		d.reportf(w.place, "", "a position that continues across passes (paginate.cursor.keep) cannot be cut into windows")
	}
}
