package tool

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// decidedAbout reads what is decided about a stream; nothing, if nothing ever ran.
func decidedAbout(ctx context.Context, opts []kgo.Opt, p *pipeline.Pipeline, stream string) (*control.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, brokersTimeout)
	defer cancel()
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	topic := topics.Control(p.Name)
	found, err := kadm.NewClient(cl).ListTopics(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("which line of %s is live: %w", stream, err)
	}
	if !found.Has(topic) {
		return &control.Stream{}, nil
	}
	s, err := control.About(ctx, control.Config{Pipeline: p.Name, Client: opts}, stream)
	if err != nil {
		return nil, fmt.Errorf("which line of %s is live: %w", stream, err)
	}
	return s, nil
}

// liveLine is the live line of a stream, as a pipeline of its own: p itself, if no other line was ever swapped in, or
// nothing ever ran.
func liveLine(ctx context.Context, opts []kgo.Opt, p *pipeline.Pipeline, stream string) (*pipeline.Pipeline, error) {
	s, err := decidedAbout(ctx, opts, p, stream)
	if err != nil {
		return nil, err
	}
	return liveOf(p, stream, s)
}

// liveOf is liveLine, by what is decided.
func liveOf(p *pipeline.Pipeline, stream string, s *control.Stream) (*pipeline.Pipeline, error) {
	if s.LiveNumber() == control.BaseLine {
		return p, nil
	}
	return lines.Of(p, stream, s, s.LiveNumber())
}

// runningLines are the lines of a stream that stages run, as pipelines: the live one first.
func runningLines(ctx context.Context, opts []kgo.Opt, p *pipeline.Pipeline, stream string) ([]*pipeline.Pipeline, error) {
	s, err := decidedAbout(ctx, opts, p, stream)
	if err != nil {
		return nil, err
	}
	return lines.Running(p, stream, s)
}

// shadows are the lines that stages run, of all streams that the command names, but for the base lines.
func (o *operation) shadows(ctx context.Context) (all []*pipeline.Pipeline, err error) {
	v, err := o.decided(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range o.streams {
		some, err := lines.Running(o.Pipeline, s.Name, v.Stream(s.Name))
		if err != nil {
			return nil, err
		}
		for _, line := range some {
			if line.Line != nil {
				all = append(all, line)
			}
		}
	}
	return all, nil
}

// lineNumber is that of a line.
func lineNumber(line *pipeline.Pipeline) uint16 {
	if line.Line == nil {
		return control.BaseLine
	}
	return line.Line.Number
}
