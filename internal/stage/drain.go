package stage

import (
	"context"
	"time"
)

// Drain returns a context for the work in hand: it outlives ctx by at most d. The caller calls cancel when the work is
// done.
func Drain(ctx context.Context, d time.Duration) (hard context.Context, cancel context.CancelFunc) {
	hard, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(d, end)
		context.AfterFunc(hard, func() { t.Stop() })
	})
	return hard, func() { stop(); end() }
}

// CloseWithin calls closeIt and waits for its return. If that takes longer than grace, it calls kill first, which must
// make closeIt return at once: a Kafka client that is joining a group waits for the other members, unless its context
// ends.
func CloseWithin(grace time.Duration, closeIt, kill func()) {
	closed := make(chan struct{})
	go func() { defer close(closed); closeIt() }()
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-closed:
	case <-t.C:
		kill()
		<-closed
	}
}
