package file

import "github.com/millrace-io/millrace/pipeline"

// deletes builds how it is known what was deleted.
func (d *decoder) deletes(f *ingestFile, in *pipeline.Ingest) *pipeline.Deletes {
	c := &f.Deletes
	if !c.ok {
		return nil
	}
	out := &pipeline.Deletes{AtMost: c.v.AtMost.p, Every: c.v.Every.d, Steady: c.v.Steady.on, MaxKeys: int(c.v.MaxKeys.n)}
	changes := f.Incremental.set || f.Paginate.v.Cursor.v.Keep.set
	switch {
	case f.ForEach.set:
		d.reportf(c.place, "", "a stream with for_each does not delete by complete reads")
	case in.Slices != nil && in.Slices.Shared:
		d.reportf(c.place, "say disjoint: true if a key shows up in one slice alone, or put $slice into key",
			"a complete read of one slice does not tell what is gone: the key may have moved to another slice")
	case changes && out.Every == 0:
		d.reportf(c.place, "say how often everything is asked for: {by: complete_read, every: 24h}",
			"passes ask only for what has changed, so none of them is a complete read")
	case !changes && out.Every > 0:
		d.reportf(c.v.Every.place, "leave every out", "each pass asks for everything, and is a complete read")
	}
	return out
}
