package sink

import (
	"testing"
	"time"
)

// eventually calls ask until it returns nil, and fails the test after the deadline.
func eventually(t *testing.T, within time.Duration, ask func() error) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("after %s: %v", within, err)
		}
	}
}
