package swap

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// applied is, by partition of the raw topic, from where on a line has applied nothing yet. Partitions of which it has
// applied nothing are left out.
func (x *Lines) applied(ctx context.Context, l *line) (map[int32]int64, error) {
	a, err := sink.OpenAdmin(l.pipeline)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	out, err := a.Applied(ctx, x.stream.Name, l.of)
	if err != nil {
		return nil, err
	}
	positions, err := a.Positions(ctx, x.stream.Name)
	if err != nil {
		return nil, err
	}
	ends, err := admin.Ends(ctx, kadm.NewClient(x.cl), topics.RawOf(l.pipeline, x.stream.Name))
	if err != nil {
		return nil, err
	}
	for partition, end := range ends { // of the record at offset 0 alone the database does not say that it was applied
		if _, known := out[partition]; !known && positions[partition].Next > 0 && end > 0 {
			out[partition] = 1
		}
	}
	return out, nil
}

// lookEvery is the time between two looks at how far a line is.
const lookEvery = 100 * time.Millisecond

// tellEvery is the time between two words about the same wait.
const tellEvery = 5 * time.Second

// LateError says that a line did not come as far as the other one in time.
type LateError struct {
	Line   uint16
	Within time.Duration
	Behind string // by how much; empty: not known
	Err    error  // why not
}

func (e *LateError) Error() string {
	text := fmt.Sprintf("line %d has not come as far as the other line within %s", e.Line, e.Within)
	if e.Err != nil {
		return text + ": " + e.Err.Error()
	}
	return text + e.Behind + "; do its stages run?"
}

// Unwrap returns what the servers answered.
func (e *LateError) Unwrap() error { return e.Err }

// await waits until a line has applied all below these raw offsets. during is called at each look; nil: nothing is. The
// error may be a *[LateError].
func (x *Lines) await(ctx context.Context, l *line, below map[int32]int64, within time.Duration, during func(context.Context) error) error {
	g, err := lines.NewGauge(l.pipeline, x.cl, x.env)
	if err != nil {
		return err
	}
	defer g.Close()
	barrier := g.Barrier(below)
	until, logged := time.Now().Add(within), time.Now()
	for {
		attempt, cancel := context.WithDeadline(ctx, until.Add(time.Second))
		passed, err := barrier.Passed(attempt)
		cancel()
		if passed && err == nil {
			return nil
		}
		if late := time.Now().After(until); late || time.Since(logged) > tellEvery {
			logged = time.Now()
			behind := x.behind(ctx, g)
			if late {
				return &LateError{l.Number, within, behind, err}
			}
			x.tellf("waiting for line %d%s", l.Number, behind)
		}
		if during != nil {
			if err := during(ctx); err != nil {
				return err
			}
		}
		if err := stage.Sleep(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// behind says how far a line is behind the end of the raw topic; empty: not known.
func (x *Lines) behind(ctx context.Context, g *lines.Gauge) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	p, err := g.Progress(ctx)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(": its processors are %d raw offsets behind the end, its sinks %d processed records", p.All-p.Done, p.Lag)
}

// higher is the higher of two positions, for each partition.
func higher(a, b map[int32]int64) map[int32]int64 {
	out := maps.Clone(a)
	if out == nil {
		out = map[int32]int64{}
	}
	for partition, next := range b {
		out[partition] = max(out[partition], next)
	}
	return out
}
