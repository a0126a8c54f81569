//go:build integration && mutants

package e2e

import (
	"testing"

	"github.com/millrace-io/millrace/internal/mutant"
	"github.com/millrace-io/millrace/internal/testservers"
)

// TestFencingMutant switches fencing off, and expects the zombie tests to notice.
func TestFencingMutant(t *testing.T) {
	const off = "MILLRACE_MUTANT=" + mutant.Fencing
	for name, moment := range frozenSink.moments {
		t.Run("sink frozen "+name, func(t *testing.T) {
			w := newWorld(t, seed(t), testservers.Kafka(t), testservers.MySQL(t), "mutant", off)
			noticed(t, w.frozen(frozenSink, moment, "mutant", off))
		})
	}
	// Frozen with its commit on its way, an ingest without fencing is stopped by the brokers' transaction timeout, which is over
	// before the state's readers get past its open transaction: another mechanism, and nothing for this test to notice.
	const unopened = "before its records"
	t.Run("ingest frozen "+unopened, func(t *testing.T) {
		w := newWorld(t, seed(t), testservers.Kafka(t), testservers.MySQL(t), "mutant", off)
		noticed(t, w.frozen(frozenIngest, frozenIngest.moments[unopened], "mutant", off))
	})
}

func noticed(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Error("fencing off: nobody noticed")
		return
	}
	t.Logf("fencing off: red: %v", err)
}
