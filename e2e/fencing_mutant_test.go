//go:build integration && mutants

package e2e

import (
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/e2e/mutants"
	"github.com/millrace-io/millrace/e2e/proxy"
	"github.com/millrace-io/millrace/internal/testservers"
)

// TestFencingMutant switches fencing off, and expects the zombie tests to notice.
func TestFencingMutant(t *testing.T) {
	for name, moment := range frozenSink.moments {
		t.Run("sink frozen "+name, func(t *testing.T) { noticed(t, mutants.Named(mutants.Sink, mutants.Fencing), frozenSink, moment) })
	}
	// Frozen with its commit on its way, an ingest without fencing is stopped by the brokers' transaction timeout,
	// which is over before the state's readers get past its open transaction: another mechanism, and nothing for this
	// test to notice.
	const unopened = "before its records"
	t.Run("ingest frozen "+unopened, func(t *testing.T) {
		noticed(t, mutants.Named(mutants.Ingest, mutants.Fencing), frozenIngest, frozenIngest.moments[unopened])
	})
}

// tries is how often a process is frozen until it writes what it must not. The connection of a sink that holds locks has
// been cut by then, so that it writes only if it makes its transaction again before it hears that its partitions are
// another's: it did in five of eight runs.
const tries = 6

func noticed(t *testing.T, m mutants.Mutant, v victim, moment func(proxy.Passage) bool) {
	t.Helper()
	var err error
	for n := 0; n < tries && err == nil && !t.Failed(); n++ {
		t.Run(fmt.Sprint(n+1), func(t *testing.T) {
			w := newWorld(t, seed(t), testservers.Kafka(t), testservers.MySQL(t), &m)
			err = w.frozen(v, moment)
		})
	}
	if err == nil {
		t.Fatalf("%s: not noticed", m)
	}
	t.Logf("%s: red: %v", m, err)
}
