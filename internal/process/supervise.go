package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
)

// supervision is how stages that run beside each other end.
type supervision struct {
	drain  time.Duration // what the stages promise to take at most
	log    *slog.Logger
	health *stage.Health
}

// overtime is what a stage may take beyond its drain, to close connections, before it is given up.
const overtime = 5 * time.Second

// supervise runs the stages until ctx is cancelled or one of them returns, and then waits for the others to drain. It
// returns nil if all ended as they should, else every error. A stage that does not end is named, and left.
func supervise(ctx context.Context, runs []run, s supervision) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type end struct {
		stage string
		err   error
	}
	ended := make(chan end, len(runs)) // one send each, so that none waits
	for _, r := range runs {
		go func() { ended <- end{r.stage, r.run(ctx)} }()
	}
	left := map[string]bool{}
	for _, r := range runs {
		left[r.stage] = true
	}
	var errs []error
	var late <-chan time.Time // nil until the drain begins
	stopping := ctx.Done()
	for len(left) > 0 {
		select {
		case <-stopping:
			stopping = nil
			s.log.Info("draining", "at_most", s.drain.String())
			s.health.Wait("process", "draining")
			timer := time.NewTimer(s.drain + overtime)
			defer timer.Stop()
			late = timer.C
		case e := <-ended:
			delete(left, e.stage)
			if e.err != nil {
				errs = append(errs, e.err)
			}
			if e.err != nil && len(left) > 0 && ctx.Err() == nil { // alone, it is the last line of the process
				s.log.Error("a stage has stopped; the others drain", "stage", e.stage, "err", e.err)
			}
			cancel()
		case <-late:
			return errors.Join(append(errs, notDrained(runs, left, s.drain+overtime))...)
		}
	}
	return errors.Join(errs...)
}

func notDrained(runs []run, left map[string]bool, after time.Duration) error {
	var names []string
	for _, r := range runs {
		if left[r.stage] {
			names = append(names, r.stage)
		}
	}
	return fmt.Errorf("%s: not stopped after %v: left as after a kill; nothing that was committed is lost", strings.Join(names, ", "), after)
}
