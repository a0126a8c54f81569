package control

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
)

// EndedError says that a line does not run any more.
type EndedError struct {
	Stream string
	Line   uint16
	State  LineState
}

func (e *EndedError) Error() string {
	return fmt.Sprintf("stream %s: line %d is %s: nothing of it is created again", e.Stream, e.Line, e.State)
}

// Permit returns what a stage of p asks before it makes a topic or a table that is missing; nil: it need not ask. What
// a line had is removed when it is dropped, and a stage that was cut off meanwhile has not heard of it: it must not
// create any of it again. The error is an *[EndedError], or the brokers'.
func Permit(p *pipeline.Pipeline, client []kgo.Opt) func(context.Context) error {
	if p.Line == nil {
		return nil
	}
	return func(ctx context.Context) error {
		l, err := LineNow(ctx, p, client)
		if err == nil && l != nil && !l.State.Runs() {
			err = &EndedError{p.Streams[0].Name, l.Number, l.State}
		}
		return err
	}
}

// LineNow reads what is decided about a line, which p is, other than the base line; nil: nothing.
func LineNow(ctx context.Context, p *pipeline.Pipeline, client []kgo.Opt) (*Line, error) {
	v := NewView(Config{Pipeline: p.Line.Of, Client: client})
	defer v.Close()
	if _, err := v.Refresh(ctx); err != nil {
		return nil, err
	}
	return v.Stream(p.Streams[0].Name).Line(p.Line.Number), nil
}
