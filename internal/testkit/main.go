package testkit

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// leftFor is how long a goroutine may be left after the last test: what was closed ends by itself, on a busy machine a
// little later.
const leftFor = time.Minute

// Main runs the tests of a package, checks with [NoLeak] that no goroutine is left if all passed, and exits. It is what
// TestMain calls.
func Main(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := NoLeak(); err != nil {
			fmt.Fprintln(os.Stderr, "testkit:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// NoLeak waits until no goroutine is left but the caller's and those of the test binary. It returns an error with their
// stacks if some are left after a minute.
func NoLeak(opts ...goleak.Option) error {
	for until := time.Now().Add(leftFor); ; {
		err := goleak.Find(opts...) // looks for a second
		if err == nil || time.Now().After(until) {
			return err
		}
	}
}
