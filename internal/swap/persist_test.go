package swap

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestPersistEndsWhenItIsToldTo: servers that do not answer are not waited for much longer than the context of the
// command.
func TestPersistEndsWhenItIsToldTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			toldAfter, want time.Duration
		}{
			"told to stop":     {10 * time.Second, 10*time.Second + stopFor},
			"told long before": {0, stopFor},
			"not told":         {time.Hour, settle},
		} {
			ctx, stop := context.WithTimeout(t.Context(), c.toldAfter)
			from := time.Now()
			err := persist(ctx, func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			})
			if took := time.Since(from); err == nil || took != c.want {
				t.Errorf("%s: it took %s, want %s: %v", name, took, c.want, err)
			}
			stop()
		}
	})
}
