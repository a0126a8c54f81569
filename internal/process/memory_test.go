package process

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
)

func TestMemoryLimitGrowsWithWhatLives(t *testing.T) {
	const least = 100 << 20
	for live, want := range map[int64]int64{0: least, 20 << 20: least, 200 << 20: 320 << 20} {
		if got := limitFor(least, live, 4<<20); got != want {
			t.Errorf("%d MiB live: the limit is %d MiB, want %d", live>>20, got>>20, want>>20)
		}
	}
	var runs []run
	for _, stage := range All {
		before := memory(runs, false)
		if runs = append(runs, run{stage: stage}); memory(runs, false) < before+64<<20 {
			t.Errorf("%s has %d MiB", stage, (memory(runs, false)-before)>>20)
		}
	}
	if all := memory(runs, false); memory(runs, true) <= all {
		t.Errorf("all stages have %d, with servers %d", all, memory(runs, true))
	}
}

// TestMemoryLimit: the limit is the process's while it runs, and the environment's if that sets one.
func TestMemoryLimit(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "")
	is := func(want int64) func() error {
		return func() error {
			if got := debug.SetMemoryLimit(-1); got != want {
				return fmt.Errorf("the limit is %d, want %d", got, want)
			}
			return nil
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); limitMemory(ctx, 1<<30) }()
	testkit.Eventually(t, 2*time.Minute, is(1<<30))
	stop()
	<-ended
	if err := is(math.MaxInt64)(); err != nil {
		t.Error("afterwards ", err)
	}
	t.Setenv("GOMEMLIMIT", "2GiB")
	limitMemory(t.Context(), 1<<30) // returns at once
	if err := is(math.MaxInt64)(); err != nil {
		t.Error("with GOMEMLIMIT ", err)
	}
}
