package file

import (
	"slices"

	"github.com/millrace-io/millrace/pipeline"
)

// ofPages are the keys of ingest that say something of pages and passes, of which a stream of events has none.
var ofPages = []string{
	"paginate", "incremental", "every", "cron", "format", "records", "error_when", "errors", "null_is_empty", "empty_pages", "concurrency", "for_each",
	"on_parent_delete",
}

// events builds a stream of Server-Sent Events. own are the keys that it has itself: what others share is left out.
func (d *decoder) events(f *ingestFile, at place, own []string) pipeline.Ingest {
	for _, name := range own {
		if slices.Contains(ofPages, name) {
			d.reportf(at, "leave it out", "%s is of pages, and a stream of events has none", name)
		}
	}
	f.Paginate, f.Incremental, f.Every, f.BodyFormat = choice[paginateFile]{}, object[incrementalFile]{}, duration{}, choice[formatFile]{}
	f.Cron = choice[cronFile]{}
	deletes := f.Deletes
	f.Deletes = choice[deletesFile]{}
	f.Records, f.ErrorWhen, f.Errors, f.NullIsEmpty = choice[recordsFile]{}, text{}, list[errorFile]{}, flag{}
	in := d.ingest(f, at)
	f.Deletes = deletes
	d.onlyWhen(f, &in, slices.Contains(own, "deletes"))
	e := &f.Events.v
	in.ErrorWhen = "false"
	in.Events = &pipeline.Events{Wrap: e.Wrap.on, Idle: e.Idle.d}
	if e.Types.ok {
		in.Events.Types = e.Types.strings()
	}
	return in
}
