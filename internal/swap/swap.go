package swap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// Lines looks after the lines of one stream. Its methods must not be called concurrently. It must be closed.
type Lines struct {
	// Told is called with what is waited for, for people; nil: nobody is told.
	Told func(text string)
	// Driver is called with each connection that will drive a swap; nil: with none. It is for tests.
	Driver func(*sink.Swapper)

	pipeline *pipeline.Pipeline
	stream   *pipeline.Stream
	env      stage.Env
	control  control.Config
	cl       *kgo.Client
}

// Open makes what the lines of a stream need. It makes no connection.
func Open(p *pipeline.Pipeline, stream string, env stage.Env) (*Lines, error) {
	chosen, err := p.Choose([]string{stream})
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(env.Kafka...)
	if err != nil {
		return nil, err
	}
	return &Lines{
		pipeline: p, stream: chosen[0], env: env, cl: cl,
		control: control.Config{Pipeline: p.Name, Who: env.Instance, Client: env.Kafka},
	}, nil
}

// Close gives back the connections.
func (x *Lines) Close() { x.cl.Close() }

// RefusedError says why nothing was done, each with what to do about it.
type RefusedError struct {
	Stream  string
	Reasons []string
}

func (e *RefusedError) Error() string {
	if len(e.Reasons) == 1 {
		return "stream " + e.Stream + ": " + e.Reasons[0]
	}
	return "stream " + e.Stream + ": refused:\n  " + strings.Join(e.Reasons, "\n  ")
}

func (x *Lines) refuse(format string, args ...any) error {
	return &RefusedError{x.stream.Name, []string{fmt.Sprintf(format, args...)}}
}

// command is a command on the stream, for people.
func (x *Lines) command(what string) string { return x.env.Command("replay "+what, x.stream.Name) }

func (x *Lines) tellf(format string, args ...any) {
	if x.Told != nil {
		x.Told(fmt.Sprintf(format, args...))
	}
}

// decided reads what is decided about a stream of a pipeline, which may be a line.
func (x *Lines) decided(ctx context.Context, pipeline string) (*control.Stream, error) {
	cfg := x.control
	cfg.Pipeline = pipeline
	return control.About(ctx, cfg, x.stream.Name)
}

// line is one line of the stream.
type line struct {
	control.Line

	pipeline *pipeline.Pipeline
	of       *control.Stream // what is decided about it as a pipeline
}

// line returns a line by what is decided.
func (x *Lines) line(ctx context.Context, s *control.Stream, number uint16) (*line, error) {
	l := s.Line(number)
	if l == nil {
		return nil, x.refuse("it has no line %d", number)
	}
	p, err := lines.Of(x.pipeline, x.stream.Name, s, number)
	if err != nil {
		return nil, err
	}
	out := &line{Line: *l, pipeline: p, of: s}
	if number != control.BaseLine {
		if out.of, err = x.decided(ctx, p.Name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (l *line) stream() *pipeline.Stream { return &l.pipeline.Streams[0] }

func (l *line) swapLine() sink.SwapLine {
	return sink.SwapLine{Number: l.Number, Pipeline: l.pipeline.Name, Table: l.Table}
}

// columns are those that a line writes: of the file that is run, and of the logic that is live.
func (l *line) columns() (out []string) {
	all := l.stream().Sink.Columns
	if g := l.of.Generation(l.of.Live); g != nil && g.Definition != "" {
		if was, err := l.stream().Defined(g.Definition); err == nil {
			all = append(slices.Clip(all), was.Sink.Columns...)
		}
	}
	for _, c := range all {
		out = append(out, c.Name)
	}
	return out
}

// told has control know which line is live, if it does not: whoever swapped last may have died before.
func (x *Lines) told(ctx context.Context) (*control.Stream, error) {
	s, err := control.Change(ctx, x.control, x.stream.Name, func(s *control.Stream) error {
		if len(s.Lines) == 0 {
			return control.ErrUnchanged
		}
		live, err := x.writes(ctx, s, x.stream.Sink.Table) // after the id was taken, so that nobody tells what was before
		if err != nil {
			return err
		}
		if live == 0 || live == s.LiveNumber() {
			return control.ErrUnchanged
		}
		// A file of before may name a table that the base line has left. After a swap the other line has a table, too.
		if was, err := x.writes(ctx, s, s.Line(s.LiveNumber()).Table); err != nil || was != s.LiveNumber() {
			return cmp.Or(err, control.ErrUnchanged)
		}
		s.Swapped(live)
		return nil
	})
	return &s, err
}

// writes is the number of the line whose a table is; 0: of none.
func (x *Lines) writes(ctx context.Context, s *control.Stream, table string) (uint16, error) {
	owner, err := sink.OwnerOf(ctx, x.pipeline, x.stream.Name, table)
	if err != nil {
		return 0, err
	}
	if owner == x.pipeline.Name {
		return control.BaseLine, nil
	}
	for _, l := range s.Lines {
		if topics.LineName(x.pipeline.Name, x.stream.Name, l.Number) == owner {
			return l.Number, nil
		}
	}
	return 0, nil
}

const (
	settle = time.Minute // how long servers that do not answer are waited for where a swap is half done
	// how long they are, once the command was told to stop: what is left is gone on with, by sinks or the next command.
	stopFor = 5 * time.Second
)

// persist calls do until it succeeds, for at most settle, and for stopFor once ctx has ended.
func persist(ctx context.Context, do func(context.Context) error) error {
	ctx, stop := stage.Drain(ctx, stopFor)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	for wait := stage.NewBackoff(); ; {
		err := do(ctx)
		if err == nil || admin.NeedsOperator(err) {
			return err
		}
		if stopped := stage.Sleep(ctx, wait.NextBackOff()); stopped != nil {
			return errors.Join(err, stopped)
		}
	}
}
