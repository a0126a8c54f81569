package stage

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Attempts says how Persist attempts something.
type Attempts struct {
	Server    string           // what is waited for, as in [Waits.On]
	Who       string           // who waits, as in [Waits.On]
	Timeout   time.Duration    // of one attempt; 0: none
	Permanent func(error) bool // tells the errors that no retry can pass; nil: there are none
}

// steady is how long an attempt must have lasted for the back-off to begin again: it did work for a while.
const steady = 30 * time.Second

// Persist calls do until it returns nil, with a back-off from 50 ms to 5 s between attempts, and tells w what it waits
// for. It returns nil when do does, or when ctx ends; and do's error when that is permanent.
func (w *Waits) Persist(ctx context.Context, a Attempts, do func(context.Context) error) error {
	b := NewBackoff()
	for {
		start := time.Now()
		err := once(ctx, a.Timeout, do)
		if ctx.Err() != nil {
			w.Drop(a.Who)
			return nil //nolint:nilerr // whatever it returned, the end was asked for
		}
		if err == nil {
			w.Done(a.Server, a.Who)
			return nil
		}
		if a.Permanent != nil && a.Permanent(err) {
			return err
		}
		w.On(a.Server, a.Who, err)
		if time.Since(start) > steady {
			b.Reset()
		}
		_ = Sleep(ctx, b.NextBackOff())
	}
}

func once(ctx context.Context, timeout time.Duration, do func(context.Context) error) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return do(ctx)
}

// NewBackoff returns the pauses between attempts at a server: from 50 ms to 5 s, growing by half, with jitter. It is
// for one goroutine.
func NewBackoff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 50*time.Millisecond, 5*time.Second
	return b
}

// Sleep waits for d. It returns ctx's error if ctx ends before.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
