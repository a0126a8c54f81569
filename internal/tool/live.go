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

// liveLine is the live line of a stream, as a pipeline of its own: p itself, if no other line was ever swapped in, or nothing ever ran.
func liveLine(ctx context.Context, opts []kgo.Opt, p *pipeline.Pipeline, stream string) (*pipeline.Pipeline, error) {
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
		return p, nil
	}
	v := control.NewView(control.Config{Pipeline: p.Name, Client: opts})
	defer v.Close()
	if _, err := v.Refresh(ctx); err != nil {
		return nil, fmt.Errorf("which line of %s is live: %w", stream, err)
	}
	s := v.Stream(stream)
	if s.LiveNumber() == control.BaseLine {
		return p, nil
	}
	return lines.Of(p, stream, s, s.LiveNumber())
}
