package processor_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
)

// TestTwoProcessesOfOneName: they are told as that, once, with the remedy, whatever the brokers answer.
func TestTwoProcessesOfOneName(t *testing.T) {
	p := shop(2)
	c, cl := cluster(t, p)
	var log testkit.Buffer
	one, two := env(t, c, "a"), env(t, c, "a")
	one.Log = slog.New(slog.NewTextHandler(&log, nil))
	two.Log = one.Log
	run(t, p, quick(), one)
	produce(t, cl, p, load(50, 2)...)
	settled(t, cl, p)
	run(t, p, quick(), two)
	testkit.Eventually(t, 2*time.Minute, func() error {
		produce(t, cl, p, load(10, 2)...)
		return testkit.That("a line about two processes", func() bool { return strings.Contains(log.String(), "--instance") })()
	})
	for range 20 {
		produce(t, cl, p, load(10, 2)...)
	}
	if n := strings.Count(log.String(), "--instance"); n > 2 { // once for each of the two
		t.Errorf("told %d times:\n%s", n, log.String())
	}
	for _, answer := range []string{"PRODUCER_FENCED", "FENCED_INSTANCE_ID", "INVALID_PRODUCER_EPOCH"} {
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, answer) && !strings.Contains(line, "level=DEBUG") {
				t.Errorf("a line that says only %s: %s", answer, line)
			}
		}
	}
}
