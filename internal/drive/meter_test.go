package drive_test

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/drive"
)

// TestMeter: a rate is known from the second look on, and what was done long ago does not count.
func TestMeter(t *testing.T) {
	var m drive.Meter
	at := time.UnixMilli(0)
	look := func(done int64, rate float64, left time.Duration) {
		t.Helper()
		if is, rest := m.Look(at, done, 1000); is != rate || rest != left {
			t.Errorf("after %d: %v a second, %s left; want %v, %s", done, is, rest, rate, left)
		}
		at = at.Add(time.Second)
	}
	look(100, 0, 0)
	look(100, 0, 0)
	look(140, 20, 43*time.Second)
	for range 40 {
		m.Look(at, 140, 1000)
		at = at.Add(time.Second)
	}
	look(140, 0, 0)
	look(169, 1, 831*time.Second)
}
