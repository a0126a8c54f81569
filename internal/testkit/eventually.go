package testkit

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// interval is the time between two looks at a condition that nothing signals.
const interval = 10 * time.Millisecond

// Eventually calls condition until it returns nil, and ends the test with its last error if that is not within the
// time. Call it from the test's goroutine.
func Eventually(t testing.TB, within time.Duration, condition func() error) {
	t.Helper()
	if err := Until(context.WithoutCancel(t.Context()), within, condition); err != nil {
		t.Fatal(err)
	}
}

// Until calls condition until it returns nil. Else it returns the condition's last error, after the given time or when
// ctx ends.
func Until(ctx context.Context, within time.Duration, condition func() error) error {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return fmt.Errorf("not within %s: %w", within, err)
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// That makes a condition of a question; what is the message while the answer is no.
func That(what string, is func() bool) func() error {
	no := errors.New(what)
	return func() error {
		if is() {
			return nil
		}
		return no
	}
}

// Pause lets a time go by, or less if ctx ends before: the latency of a server, the pace of a load, the moment of a
// fault. To wait for something, use [Eventually].
func Pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
