package file

import (
	"strings"

	"github.com/millrace-io/millrace/internal/expression"
	"github.com/millrace-io/millrace/pipeline"
)

func (d *decoder) job(f *ingestFile) *pipeline.Job {
	if !f.Job.ok {
		return nil
	}
	j := &f.Job.v
	out := &pipeline.Job{
		ID: j.ID.fields, IDHeader: j.IDHeader.s, StatusPath: j.StatusPath.s, Done: j.Done.s, Failed: j.Failed.s, Poll: j.Poll.d, Timeout: j.Timeout.d,
		Result: j.Result.fields, ResultPath: j.ResultPath.s,
	}
	if j.ID.set == j.IDHeader.set {
		d.reportf(f.Job.place, "set id, or id_header", "one of id, id_header names the job")
	}
	if j.Result.set == j.ResultPath.set {
		d.reportf(f.Job.place, "set result, or result_path", "one of result, result_path says where the file is")
	}
	if j.IDHeader.ok {
		d.headerName(j.IDHeader.place, j.IDHeader.s)
	}
	for _, p := range []*text{&j.StatusPath, &j.ResultPath} {
		if p.ok && (!strings.HasPrefix(p.s, "/") || !strings.Contains(p.s, pipeline.PlaceJob)) {
			d.reportf(p.place, "write it as in /reports/{job}", "%s is no path with {job}", shown(p.place))
		}
	}
	for _, e := range []*text{&j.Done, &j.Failed} {
		d.condition(e)
	}
	if f.Paginate.set {
		d.reportf(f.Paginate.place, "leave it out", "the files of a job are its pages")
	}
	if w := &f.Incremental.v.Window; w.set {
		d.reportf(w.place, "leave it out", "a job asks for all of its time at once")
	}
	if f.Events.set {
		d.reportf(f.Events.place, "leave it out", "a job has files, and no events")
	}
	return out
}

// condition checks an expression that is true or false.
func (d *decoder) condition(t *text) {
	if !t.ok {
		return
	}
	p, err := expression.Compile(t.s)
	if err == nil {
		err = p.Condition()
	}
	if err != nil {
		d.expressionProblem(t, err)
	}
}
