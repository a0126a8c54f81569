package swap

import (
	"context"
	"time"

	"github.com/millrace-io/millrace/sink"
)

// looks is how often rows are looked at again that differ and change.
const looks = 5

// looseMost is how many rows are kept to be looked at again.
const looseMost = 50_000

// DiffAsk is which lines are compared, and how.
type DiffAsk struct {
	Line uint16        // beside the live one; 0: the newest
	Wait time.Duration // for a line that is behind
	Told func(rows int64)
}

// Diff is how the tables of two lines differ: the first is the live one.
type Diff struct {
	sink.Difference

	Tables [2]string
	Lines  [2]uint16
}

// Diff compares the table of the live line with that of another one, while both are written. Rows that differ at first
// are looked at again when both lines have applied what either had applied. It takes no locks. The error is a
// *[RefusedError] if there is nothing to compare, or a *[LateError].
func (x *Lines) Diff(ctx context.Context, ask DiffAsk) (*Diff, error) {
	s, err := x.told(ctx)
	if err != nil {
		return nil, err
	}
	other := uint16(0)
	for _, l := range s.Lines {
		if l.Number != s.LiveNumber() && l.State.Runs() && (ask.Line == 0 || ask.Line == l.Number) {
			other = l.Number
		}
	}
	if other == 0 {
		return nil, x.refuse("there is no line beside the live one to compare: `%s` builds one", x.env.Command("replay", x.stream.Name, "--shadow"))
	}
	var both [2]*line
	for i, number := range []uint16{s.LiveNumber(), other} {
		if both[i], err = x.line(ctx, s, number); err != nil {
			return nil, err
		}
	}
	d, err := sink.NewDiffer(ctx, [2]sink.DiffSide{{Pipeline: both[0].pipeline, Of: both[0].of}, {Pipeline: both[1].pipeline, Of: both[1].of}})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if err := x.compare(ctx, d, both, ask); err != nil {
		return nil, err
	}
	out := &Diff{Difference: d.Difference, Lines: [2]uint16{both[0].Number, both[1].Number}}
	for i, l := range both {
		out.Tables[i] = l.stream().Sink.Name()
	}
	return out, nil
}

func (x *Lines) compare(ctx context.Context, d *sink.Differ, both [2]*line, ask DiffAsk) error {
	if !d.Key {
		return d.Summarize(ctx)
	}
	for more := true; more; {
		var err error
		if more, err = d.Range(ctx); err != nil {
			return err
		}
		if ask.Told != nil {
			ask.Told(d.Rows[0])
		}
		if more && d.Loose() < looseMost {
			continue
		}
		for n := 1; d.Loose() > 0; n++ {
			if err := x.level(ctx, both, ask.Wait); err != nil {
				return err
			}
			if err := d.Look(ctx, n == looks); err != nil {
				return err
			}
		}
	}
	return nil
}

// level waits until both lines have applied all that either has applied now.
func (x *Lines) level(ctx context.Context, both [2]*line, within time.Duration) error {
	var below map[int32]int64
	for _, l := range both {
		at, err := x.applied(ctx, l)
		if err != nil {
			return err
		}
		below = higher(below, at)
	}
	for _, l := range both {
		if err := x.await(ctx, l, below, within, nil); err != nil {
			return err
		}
	}
	return nil
}
