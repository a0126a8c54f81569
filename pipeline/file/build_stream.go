package file

import (
	"slices"

	"github.com/millrace-io/millrace/pipeline"
)

// stream builds a stream. tables has the tables so far, by name in lower case, and their streams.
func (d *decoder) stream(f *pipelineFile, e *entry[streamFile], tables map[string]string) pipeline.Stream {
	in := &e.v.Ingest.v
	own := setKeys(in)
	if e.v.Ingest.ok && !in.Webhook.set {
		d.foreign(levels(f, in))
	}
	inherit(&in.ingestSharedFile, &f.Defaults.v.Ingest.v)
	inherit(&in.httpFile, &f.HTTP.v)
	if in.Job.set && !slices.Contains(own, "paginate") {
		in.Paginate = choice[paginateFile]{}
	}
	switch mine := slices.Contains(own, "cron"); { // the one that the stream has itself wins
	case mine && !slices.Contains(own, "every"):
		in.Every = duration{}
	case !mine && slices.Contains(own, "every"):
		in.Cron = choice[cronFile]{}
	}
	s := pipeline.Stream{Name: e.name}
	switch {
	case in.Webhook.ok:
		s.Ingest = d.delivered(in, e.v.Ingest.place, own)
	case in.Events.ok:
		s.Ingest = d.events(in, e.v.Ingest.place, own)
	case e.v.Ingest.ok:
		s.Ingest = d.ingest(in, e.v.Ingest.place)
		s.Ingest.DeletedIn = d.deletedIn(in, &s.Ingest)
	}
	w := flowOf(&e.v)
	s.Process = w.steps
	s.Sink = d.sink(e, tables)
	d.checkFlow(&e.v, &s, w)
	return s
}
