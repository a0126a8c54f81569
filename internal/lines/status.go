package lines

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/internal/drive"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// Built is the state that people see of a line in [control.LineBuilding] that is built.
const Built control.LineState = "built"

// Status is a line that is not dropped.
type Status struct {
	Line    uint16            `json:"line"`
	State   control.LineState `json:"state"` // a line's, or Built
	Table   string            `json:"table"` // as it is called now
	BuiltAt time.Time         `json:"built_at,omitzero"`
	Rate    int               `json:"rate,omitempty"` // raw records a second, while it is built; 0: no limit
	// Arriving is how many raw records a second have come in the last minute; nil: the line is built, or was begun just
	// now.
	Arriving *int `json:"arriving,omitempty"`
	// DoesNotCatchUp says so of a line whose rate is no higher than that, and what to do; empty: it does, as far as is
	// known.
	DoesNotCatchUp string     `json:"does_not_catch_up,omitempty"`
	At             time.Time  `json:"at"`
	By             string     `json:"by"`
	Done           int64      `json:"done"` // raw offsets that are behind
	All            int64      `json:"all"`
	Pace           drive.Pace `json:"pace,omitzero"`     // of Done; whoever looks twice knows it
	Lag            int64      `json:"sink_lag"`          // processed records that its table lacks
	Unknown        string     `json:"unknown,omitempty"` // why it is not known how far it is
}

// Status asks how far the lines of the stream are. A stream that has only the base line has none.
func (b *Builder) Status(ctx context.Context) (all []Status, err error) {
	s, err := b.Decided(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range s.Lines {
		if l.State == control.LineDropped {
			continue
		}
		line, err := Of(b.Pipeline, b.Stream.Name, s, l.Number)
		if err != nil {
			return nil, err
		}
		is := Status{
			Line: l.Number, State: l.State, Table: line.Streams[0].Sink.Name(), BuiltAt: l.BuiltAt, Rate: l.Rate, At: l.At, By: l.By,
		}
		if l.State == control.LineBuilding && !l.BuiltAt.IsZero() {
			is.State = Built
		}
		if l.State.Runs() {
			p, err := b.far(ctx, s, l.Number)
			if err != nil {
				is.Unknown = err.Error()
			}
			is.Done, is.All, is.Lag = p.Done, p.All, p.Lag
		}
		if l.Building() && is.Unknown == "" {
			if err := b.arriving(ctx, &is); err != nil {
				return nil, err
			}
		}
		all = append(all, is)
	}
	return all, nil
}

// far asks how far a line is.
func (b *Builder) far(ctx context.Context, s *control.Stream, number uint16) (p Progress, err error) {
	line, err := Of(b.Pipeline, b.Stream.Name, s, number)
	if err != nil {
		return p, err
	}
	g, err := NewGauge(line, b.Client, b.Env)
	if err != nil {
		return p, err
	}
	defer g.Close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return g.Progress(ctx)
}

// arriving compares the rate of a line with what arrives. Who asks once cannot see how fast the line is filled.
func (b *Builder) arriving(ctx context.Context, is *Status) error {
	now := time.Now()
	from := is.At
	if lately := now.Add(-paceLately); from.Before(lately) {
		from = lately
	}
	if now.Sub(from) < paceLeast {
		return nil
	}
	raw, adm := topics.RawOf(b.Pipeline, b.Stream.Name), kadm.NewClient(b.Client)
	was, err := adm.ListOffsetsAfterMilli(ctx, from.UnixMilli(), raw)
	if err == nil {
		err = was.Error()
	}
	if err != nil {
		return fmt.Errorf("offsets of %s at %s: %w", raw, from.UTC().Format(time.RFC3339), err)
	}
	to, err := admin.Ends(ctx, adm, raw)
	if err != nil {
		return err
	}
	came := sum(to)
	was.Each(func(o kadm.ListedOffset) { came -= o.Offset })
	pace := Pace{Arriving: float64(max(0, came)) / now.Sub(from).Seconds(), Rate: float64(is.Rate)}
	arriving := int(math.Round(pace.Arriving))
	is.Arriving = &arriving
	if is.Rate > 0 && pace.Rate <= pace.Arriving && float64(is.All-is.Done) >= pace.Rate*slack.Seconds() {
		is.DoesNotCatchUp = pace.advice(is.Rate, b.build)
	}
	return nil
}

// Paced notes how fast the line was between two looks. What arrives meanwhile has to be filled too.
func (s *Status) Paced(p drive.Pace) {
	if s.Arriving != nil {
		p.Left = 0
		if closing := p.PerSecond - float64(*s.Arriving); closing > 0 {
			p.Left = int64(math.Round(float64(s.All-s.Done) / closing))
		}
	}
	s.Pace = p
}
