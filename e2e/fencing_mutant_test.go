//go:build integration && mutants

package e2e

import (
	"testing"

	"github.com/millrace-io/millrace/e2e/mutants"
	"github.com/millrace-io/millrace/internal/testservers"
)

// TestFencingMutant switches fencing off, and expects the zombie tests to notice.
func TestFencingMutant(t *testing.T) {
	for name, moment := range frozenSink.moments {
		t.Run("sink frozen "+name, func(t *testing.T) {
			m := mutants.Named(mutants.Sink, mutants.Fencing)
			w := newWorld(t, seed(t), testservers.Kafka(t), testservers.MySQL(t), &m)
			noticed(t, m, w.frozen(frozenSink, moment))
		})
	}
	// Frozen with its commit on its way, an ingest without fencing is stopped by the brokers' transaction timeout,
	// which is over before the state's readers get past its open transaction: another mechanism, and nothing for this
	// test to notice.
	const unopened = "before its records"
	t.Run("ingest frozen "+unopened, func(t *testing.T) {
		m := mutants.Named(mutants.Ingest, mutants.Fencing)
		w := newWorld(t, seed(t), testservers.Kafka(t), testservers.MySQL(t), &m)
		noticed(t, m, w.frozen(frozenIngest, frozenIngest.moments[unopened]))
	})
}

func noticed(t *testing.T, m mutants.Mutant, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: not noticed", m)
		return
	}
	t.Logf("%s: red: %v", m, err)
}
