//go:build integration

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
)

// TestRebalance adds and removes processors, sinks and ingests under load: each leaves on SIGTERM, drained, with exit
// code 0, and others take its partitions over.
func TestRebalance(t *testing.T) {
	w := newWorld(t, seed(t), testservers.Kafka(t), testservers.MySQL(t), nil)
	w.fleet.startAll("sink-1")
	if err := w.watchOffsets(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.fleet.startAll("ingest-1", "processor-1")
	busy, rest := context.WithCancel(t.Context())
	defer rest()
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		w.changes(busy, 30_000, 30*time.Second)
	}()
	for round := range 5 {
		for _, stage := range []string{"processor", "sink", "ingest"} {
			w.fleet.start(fmt.Sprintf("%s-%d", stage, round+2))
		}
		testkit.Pause(t.Context(), 3*time.Second) // under load with one more of each
		for _, stage := range []string{"sink", "processor", "ingest"} {
			if round%2 == 0 {
				w.fleet.stop(fmt.Sprintf("%s-%d", stage, round+1))
			}
		}
		testkit.Pause(t.Context(), 2*time.Second) // under load with one less, or not
	}
	<-changed
	c, err := w.verdict(t.Context(), 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	c.mustHold(t)
}
