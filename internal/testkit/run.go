package testkit

import (
	"context"
	"sync"
	"testing"
	"time"
)

// Run calls run, such as a stage's Run, in a goroutine until stop is called or the test ends. stop cancels its context
// and waits: an error of run fails the test, and so does one that has not returned within two minutes. It may be called
// again. Call both from the test's goroutine.
func Run(t testing.TB, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1) // one send, so that it never waits
	go func() { ended <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		timeout := time.NewTimer(runEnd)
		defer timeout.Stop()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-timeout.C:
			t.Errorf("Run has not returned %s after its context was cancelled", runEnd)
		}
	})
	t.Cleanup(stop)
	return stop
}

const runEnd = 2 * time.Minute
