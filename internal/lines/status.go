package lines

import (
	"context"
	"time"

	"github.com/millrace-io/millrace/internal/drive"
	"github.com/millrace-io/millrace/topics/control"
)

// Status is a line that is not dropped.
type Status struct {
	Line    uint16            `json:"line"`
	State   control.LineState `json:"state"`
	Table   string            `json:"table"` // as it is called now
	BuiltAt time.Time         `json:"built_at,omitzero"`
	Rate    int               `json:"rate,omitempty"` // raw records a second, while it is built; 0: no limit
	At      time.Time         `json:"at"`
	By      string            `json:"by"`
	Done    int64             `json:"done"` // raw offsets that are behind
	All     int64             `json:"all"`
	Pace    drive.Pace        `json:"pace,omitzero"`     // of Done; whoever looks twice knows it
	Lag     int64             `json:"sink_lag"`          // processed records that its table lacks
	Unknown string            `json:"unknown,omitempty"` // why it is not known how far it is
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
		if l.State.Runs() {
			p, err := b.far(ctx, s, l.Number)
			if err != nil {
				is.Unknown = err.Error()
			}
			is.Done, is.All, is.Lag = p.Done, p.All, p.Lag
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
