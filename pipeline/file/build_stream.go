package file

import (
	"github.com/millrace-io/millrace/pipeline"
)

// stream builds a stream. tables has the tables so far, by name in lower case, and their streams.
func (d *decoder) stream(f *pipelineFile, e *entry[streamFile], tables map[string]string) pipeline.Stream {
	in := &e.v.Ingest.v
	if e.v.Ingest.ok {
		d.foreign(levels(f, in))
	}
	inherit(&in.ingestSharedFile, &f.Defaults.v.Ingest.v)
	inherit(&in.httpFile, &f.HTTP.v)
	s := pipeline.Stream{Name: e.name}
	if e.v.Ingest.ok {
		s.Ingest = d.ingest(in, e.v.Ingest.place)
	}
	w := flowOf(&e.v)
	s.Process = w.steps
	s.Sink = d.sink(e, tables)
	d.checkFlow(&e.v, &s, w)
	return s
}
