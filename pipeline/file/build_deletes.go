package file

import (
	"github.com/millrace-io/millrace/internal/expression"
	"github.com/millrace-io/millrace/pipeline"
)

// deletes builds how it is known what was deleted.
func (d *decoder) deletes(f *ingestFile, in *pipeline.Ingest) *pipeline.Deletes {
	c := &f.Deletes
	switch {
	case !c.ok:
		return nil
	case !c.isWord() && !c.v.By.set && !c.v.When.set:
		d.reportf(c.place, "say by: complete_read, or when, or both", "it is not told how it is known what was deleted")
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
	out := &pipeline.Deletes{AtMost: c.v.AtMost.p, Every: c.v.Every.d, Steady: c.v.Steady.on, MaxKeys: int(c.v.MaxKeys.n)}
	changes := f.Incremental.set || f.Paginate.v.Cursor.v.Keep.set
	switch {
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
