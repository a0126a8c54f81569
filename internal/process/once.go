package process

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// onceEvery is how often the stages are asked how far they are.
const onceEvery = 200 * time.Millisecond

var errNotThrough = errors.New("--once: stopped before one pass of every stream was in the tables; started again, it continues")

// once is ingest's Run for one pass of every slice:
//
//	every slice's pass has ended, its pages and its cursor are committed → ingest drains, so that raw has an end
//	the processor's group has committed raw's end → processed has an end, dead letters are written
//	the positions in the database are processed's end → return, and the other stages drain
//
// A stage that is behind because a server is away is waited for. If the context ends before, it returns errNotThrough.
func (x *Process) once(env stage.Env) func(context.Context) error {
	return func(ctx context.Context) error {
		fetching, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			select {
			case <-x.Ingest.PassesDone():
				stop()
			case <-fetching.Done():
			}
		}()
		if err := x.Ingest.Run(fetching); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return errNotThrough
		}
		env.Log.Info("every stream has ended a pass; waiting until it is in the tables")
		if err := x.through(ctx, env); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return errNotThrough
		}
		env.Log.Info("done: one pass of every stream is in the tables")
		return nil
	}
}

// through returns when processor and sink have nothing left to read, or ctx ends.
func (x *Process) through(ctx context.Context, env stage.Env) error {
	cl, err := kgo.NewClient(env.Kafka...)
	if err != nil {
		return fmt.Errorf("ask how far the stages are: %w", err)
	}
	defer cl.Close()
	view := control.NewView(control.Config{Pipeline: x.Pipeline.Name, Who: env.Instance, Client: env.Kafka})
	defer view.Close()
	for _, left := range []func(context.Context, *kgo.Client, *control.View) (int64, error){x.rawLeft, x.processedLeft} {
		for ctx.Err() == nil {
			asking, cancel := context.WithTimeout(ctx, 10*time.Second)
			_, err := view.Refresh(asking)
			var n int64
			if err == nil {
				n, err = x.leftOf(asking, cl, env, view, left)
			}
			cancel()
			if err == nil && n == 0 {
				break
			}
			if err != nil { // a server is away: the stage that needs it says so
				env.Log.Debug("how far the stages are is not known", "err", err)
			}
			_ = stage.Sleep(ctx, onceEvery)
		}
	}
	return nil
}

// leftOf is how many records left counts of the streams whose base line is live, and those that other live lines have
// still to process or to write.
func (x *Process) leftOf(
	ctx context.Context, cl *kgo.Client, env stage.Env, view *control.View,
	left func(context.Context, *kgo.Client, *control.View) (int64, error),
) (n int64, err error) {
	chosen, err := x.Pipeline.Choose(x.options.Streams)
	if err != nil {
		return 0, err
	}
	x.based = nil
	for _, s := range chosen {
		of := view.Stream(s.Name)
		if of.LiveNumber() == control.BaseLine {
			x.based = append(x.based, s.Name)
			continue
		}
		behind, err := x.lineLeft(ctx, cl, env, s.Name, of)
		if err != nil {
			return 0, err
		}
		n += behind
	}
	if len(x.based) == 0 {
		return n, nil
	}
	more, err := left(ctx, cl, view)
	return n + more, err
}

// lineLeft is how many records the live line of a stream has still to process or to write.
func (x *Process) lineLeft(ctx context.Context, cl *kgo.Client, env stage.Env, stream string, of *control.Stream) (int64, error) {
	line, err := lines.Of(x.Pipeline, stream, of, of.LiveNumber())
	if err != nil {
		return 0, err
	}
	g, err := lines.NewGauge(line, cl, env)
	if err != nil {
		return 0, err
	}
	defer g.Close()
	next, err := g.Next(ctx)
	if err != nil {
		return 0, err
	}
	n, err := admin.Remaining(ctx, cl, map[string]map[int32]int64{topics.RawOf(line, stream): next})
	if err != nil || n > 0 {
		return n, err
	}
	ends, err := admin.Ends(ctx, kadm.NewClient(cl), topics.Processed(line.Name, stream))
	if err != nil {
		return 0, err
	}
	return g.Unwritten(ctx, ends)
}

// rawLeft is how many raw records of the streams whose base line is live have no outcome yet.
func (x *Process) rawLeft(ctx context.Context, cl *kgo.Client, view *control.View) (int64, error) {
	decided := map[string]*control.Stream{}
	for _, name := range x.based {
		decided[topics.Raw(x.Pipeline.Name, name)] = view.Stream(name)
	}
	from, err := control.Next(ctx, cl, topics.ProcessorGroup(x.Pipeline.Name), decided)
	if err != nil {
		return 0, err
	}
	return admin.Remaining(ctx, cl, from)
}

// processedLeft is how many processed records of these streams the database does not have.
func (x *Process) processedLeft(ctx context.Context, cl *kgo.Client, _ *control.View) (int64, error) {
	next, err := x.sink.Positions(ctx)
	if err != nil {
		return 0, err
	}
	from := map[string]map[int32]int64{}
	for _, stream := range x.based {
		name := topics.Processed(x.Pipeline.Name, stream)
		from[name] = map[int32]int64{}
		for partition := range x.Pipeline.Kafka.Partitions {
			from[name][partition] = -1
			if offset, ok := next[name][partition]; ok {
				from[name][partition] = offset
			}
		}
	}
	return admin.Remaining(ctx, cl, from)
}
