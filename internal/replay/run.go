package replay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/internal/drive"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// Work is how a process takes part.
type Work struct {
	Generation uint16           // of the redo, in whichever round; 0: of the one that is under way
	Processor  processor.Config // how it processes
	Letters    int              // as in processor.RedoConfig
	Memory     int64            // as there
	Told       func(Progress)   // called about once a second while records are processed again; nil: nobody is told
}

// lookEvery is how often a process looks whether something was decided, and how far the redo is.
const lookEvery = time.Second

// tellEvery is how often the log tells of it.
const tellEvery = 10 * time.Second

// ErrOtherLogic says that a redo is under way by another logic than the file's.
var ErrOtherLogic = errors.New("the replay under way is of another logic than this file's")

// Run takes part in a redo until it has ended, by whoever, or ctx ends; then the error is ctx's. It waits for servers
// that are away. Other errors need an operator; the redo stays where it is, and goes on when somebody runs it again.
func (r *Replay) Run(ctx context.Context, w Work) error {
	for ctx.Err() == nil {
		var s *control.Stream
		if err := r.Persist(ctx, drive.Kafka, "control", func(ctx context.Context) (err error) {
			s, err = r.Decided(ctx)
			return err
		}); err != nil {
			return err
		}
		if s.Redo == nil || w.Generation != 0 && (w.Generation < s.Redo.First || w.Generation > s.Redo.Generation) {
			return nil
		}
		w.Generation = s.Redo.First
		if err := r.step(ctx, s, w); err != nil {
			return r.advised(err)
		}
	}
	return ctx.Err()
}

// step takes a redo out of the state in which it is.
func (r *Replay) step(ctx context.Context, s *control.Stream, w Work) error {
	logic, _ := r.Stream.Logic()
	if g := s.Generation(s.Redo.Generation); g == nil || g.Logic != logic {
		if s.Redo.State != control.Ending {
			return fmt.Errorf("stream %s: %w; run it with the file that it was begun with, or end it: %s", r.Stream.Name, ErrOtherLogic, r.command("abort"))
		}
	}
	switch s.Redo.State {
	case control.Marking:
		return r.mark(ctx, s)
	case control.Running:
		return r.process(ctx, *s.Redo, w)
	default:
		return r.end(ctx, *s.Redo)
	}
}

// process takes part until the redo is paused, changed or through. Then it returns nil.
func (r *Replay) process(ctx context.Context, redo control.Redo, w Work) error {
	if redo.Paused {
		r.Env.Log.Info("paused", "stream", r.Stream.Name, "next", r.command("resume"))
		return r.watch(ctx, redo, w, nil)
	}
	env := r.Env
	env.Metrics = prometheus.NewRegistry() // each attempt has counters of its own
	again, err := processor.NewRedo(r.Pipeline, w.Processor, env, processor.RedoConfig{
		Stream: r.Stream.Name, Generation: redo.Generation, Epoch: redo.Epoch, RawTopicID: redo.RawTopicID,
		Cut: redo.Cut, From: redo.From, To: redo.To, Keys: redo.Keys, Refused: redo.Refused, Attempt: redo.Attempt, Rate: redo.Rate, Letters: w.Letters, Memory: w.Memory,
		Begun: func(ctx context.Context) error { return r.stillRunning(ctx, redo) },
	})
	if err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	ended := make(chan error, 1) // one send, so that it never waits
	all.Go(func() {
		ended <- again.Run(working)
		stop()
	})
	watched := r.watch(working, redo, w, again)
	stop()
	if err := <-ended; err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(watched, context.Canceled) {
		return nil
	}
	return watched
}

// stillRunning is asked when a session's producer was initialised: who decides otherwise after that fences it.
func (r *Replay) stillRunning(ctx context.Context, redo control.Redo) error {
	s, err := r.Decided(ctx)
	if err != nil {
		return err
	}
	if !same(s.Redo, redo) {
		return processor.ErrRedoChanged
	}
	id, err := r.rawTopicID(ctx)
	if err == nil && id != redo.RawTopicID {
		err = ErrRecreated
	}
	return err
}

// same reports whether a redo is still to be made as before.
func same(now *control.Redo, redo control.Redo) bool {
	return now != nil && now.Generation == redo.Generation && now.State == redo.State && now.Paused == redo.Paused && now.Rate == redo.Rate
}

// watch returns when something else was decided about the redo. Once all records were processed again it decides that
// it ends. Not being able to look, for a while, is no reason to stop.
func (r *Replay) watch(ctx context.Context, redo control.Redo, w Work, again *processor.Redo) error {
	meter := newMeter(redo)
	for {
		if err := stage.Sleep(ctx, lookEvery); err != nil {
			return err
		}
		s, err := r.Decided(ctx)
		switch {
		case err != nil:
			r.Waits.On(drive.Kafka, "control", err)
			continue
		case !same(s.Redo, redo):
			return nil
		}
		at, err := r.reached(ctx, redo)
		if err != nil {
			if needsOperator(err) {
				return err
			}
			r.Waits.On(drive.Kafka, "progress", err)
			continue
		}
		r.Waits.Done(drive.Kafka, "control")
		r.Waits.Done(drive.Kafka, "progress")
		if again != nil {
			meter.tell(r, again.Progress(), at, w.Told)
		}
		if !at.through(redo) {
			continue
		}
		if _, err := r.change(ctx, redo.Generation, control.Running, func(s *control.Stream) { s.Redo.State = control.Ending }); err != nil {
			r.Waits.On(drive.Kafka, "control", err)
		}
	}
}

// reach is how far the partitions are.
type reach struct{ start, next map[int32]int64 }

// reached asks how far the redo is.
func (r *Replay) reached(ctx context.Context, redo control.Redo) (at reach, err error) {
	id, err := r.rawTopicID(ctx)
	if err != nil {
		return at, err
	}
	if id != redo.RawTopicID {
		return at, ErrRecreated
	}
	if at.start, err = admin.Starts(ctx, kadm.NewClient(r.Client), r.raw()); err != nil {
		return at, err
	}
	at.next, err = processor.RedoCommitted(ctx, r.Client, r.Pipeline, r.Stream.Name, redo.RawTopicID, redo.Generation)
	return at, err
}

// through reports whether nothing is left below the cut.
func (a reach) through(redo control.Redo) bool {
	for partition, cut := range redo.Cut {
		if max(a.next[partition], a.start[partition]) < cut {
			return false
		}
	}
	return true
}
