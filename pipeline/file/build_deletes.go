package file

import (
	"slices"

	"github.com/millrace-io/millrace/internal/expression"
	"github.com/millrace-io/millrace/pipeline"
)

// deletes builds how it is known what was deleted.
func (d *decoder) deletes(f *ingestFile, in *pipeline.Ingest) *pipeline.Deletes {
	c := &f.Deletes
	switch {
	case !c.ok:
		return nil
	case !c.isWord() && !c.v.By.set && !c.v.When.set && !c.v.Resource.set:
		d.reportf(c.place, "say by: complete_read, when, or resource", "it is not given how it is known what was deleted")
		return nil
	}
	if c.v.When.ok {
		in.DeletedWhen = c.v.When.s
		p, err := expression.Compile(in.DeletedWhen)
		if err == nil {
			err = p.Condition()
		}
		if err != nil {
			d.expressionProblem(&c.v.When, err)
		}
	}
	if !c.isWord() && !c.v.By.set {
		return nil
	}
	out := &pipeline.Deletes{AtMost: c.v.AtMost.p, Every: c.v.Every.d, Steady: c.v.Steady.on, MaxKeys: int(c.v.MaxKeys.n), Missing: c.v.NotFound.s == "delete"}
	changes := f.Incremental.set || f.Paginate.v.Cursor.v.Keep.set
	switch {
	case c.v.NotFound.set && !f.ForEach.set:
		d.reportf(c.v.NotFound.place, "leave it out: a path without anything is a mistake there", "it is about the requests of a stream with for_each")
	case in.Slices != nil && in.Slices.Shared:
		d.mayHaveMoved(f)
	case changes && out.Every == 0:
		d.reportf(c.place, "say how often everything is asked for: {by: complete_read, every: 24h}",
			"passes ask only for what has changed, so none of them is a complete read")
	case !changes && out.Every > 0:
		d.reportf(c.v.Every.place, "leave every out", "each pass asks for everything, and is a complete read")
	}
	return out
}

// mayHaveMoved reports a complete read where slices share keys.
func (d *decoder) mayHaveMoved(f *ingestFile) {
	d.reportf(f.Deletes.place, "say disjoint: true if a key shows up in one slice alone, or put $slice into key",
		"a complete read of one slice does not tell what is gone: the key may have moved to another slice")
}

// deletedIn builds the resource that lists what was deleted from a stream; nil: there is none.
func (d *decoder) deletedIn(f *ingestFile, main *pipeline.Ingest) *pipeline.Ingest {
	r := &f.Deletes.v.Resource
	if !r.ok {
		return nil
	}
	of := *f // what it does not say is as in the stream
	of.Webhook, of.Events, of.Deletes = object[webhookFile]{}, object[eventsFile]{}, choice[deletesFile]{}
	of.Job, of.ZipEntry = object[jobFile]{}, text{}
	of.Path, of.Method, of.Query, of.Body, of.Records = r.v.Path, r.v.Method, r.v.Query, r.v.Body, r.v.Records
	of.Version, of.Paginate, of.Incremental = r.v.Version, r.v.Paginate, r.v.Incremental
	if r.v.Key.set {
		of.Key = r.v.Key
	}
	if r.v.Every.set {
		of.Every, of.Cron = r.v.Every, choice[cronFile]{}
	}
	before := len(d.problems)
	in := d.ingest(&of, r.place)
	known := d.problems[:before]
	more := slices.DeleteFunc(slices.Clone(d.problems[before:]), func(p Problem) bool { return slices.Contains(known, p) })
	d.problems = slices.Concat(known, more)
	in.Deletions = true
	switch {
	case f.ForEach.set:
		d.reportf(r.place, "", "a stream with for_each has no resource of what was deleted")
	case len(in.Key) != len(main.Key):
		d.reportf(r.v.Key.place, "", "the key of the stream is made of %d fields, and this one of %d", len(main.Key), len(in.Key))
	case main.Version == "" || in.Version == "":
		d.reportf(r.place, "say version, in the stream and here: when a record was changed, and when it was deleted",
			"what was deleted may have been created again, and without versions it is not known which came last")
	}
	return &in
}
