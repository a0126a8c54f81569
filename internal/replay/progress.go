package replay

import (
	"time"

	"github.com/dustin/go-humanize"

	"github.com/millrace-io/millrace/internal/drive"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/topics/control"
)

// Progress is how far a redo is.
type Progress struct {
	Looking    int           // partitions that this process is looking through, before it processes them
	Done, All  int64         // raw offsets below the cut: behind, and in all
	Rate       float64       // offsets a second, of all processes, over the last half minute or so; 0: not known yet
	Left       time.Duration // at this rate; 0: not known yet
	Keys       int           // whose newest record is in the range, in the partitions that this process has looked through
	Refused    int           // of these
	Processed  int           // records that this process has processed again
	Generation uint16
}

// meter makes progress of what is seen from time to time.
type meter struct {
	redo control.Redo
	rate drive.Meter
	told time.Time
}

func newMeter(redo control.Redo) *meter { return &meter{redo: redo, told: time.Now()} }

// progress notes how far the partitions are.
func (m *meter) progress(now time.Time, p processor.RedoProgress, at reach) Progress {
	out := Progress{Looking: p.Looking, Keys: p.Keys, Refused: p.Refused, Processed: p.Processed, Generation: m.redo.Generation}
	for partition, cut := range m.redo.Cut {
		start := min(at.start[partition], cut)
		out.All += cut - start
		out.Done += min(max(at.next[partition], start), cut) - start
	}
	out.Rate, out.Left = m.rate.Look(now, out.Done, out.All)
	return out
}

// tell tells told of each look, and the log from time to time.
func (m *meter) tell(r *Replay, done processor.RedoProgress, at reach, told func(Progress)) {
	now := time.Now()
	p := m.progress(now, done, at)
	if told != nil {
		told(p)
	}
	if now.Sub(m.told) < tellEvery {
		return
	}
	m.told = now
	attrs := []any{"stream", r.Stream.Name, "generation", p.Generation, "done", humanize.Comma(p.Done), "of", humanize.Comma(p.All),
		"records_per_second", int(p.Rate), "processed_here", p.Processed, "letters_here", p.Refused}
	if p.Left > 0 {
		attrs = append(attrs, "left", p.Left.String())
	}
	if p.Looking > 0 {
		attrs = append(attrs, "looking_through_partitions", p.Looking)
	}
	r.Env.Log.Info("replay", attrs...)
}
