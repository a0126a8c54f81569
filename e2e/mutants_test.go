//go:build integration && mutants

package e2e

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/e2e/mutants"
	"github.com/millrace-io/millrace/internal/testservers"
)

// TestMutants switches one mechanism off at a time, and expects the comparison to notice when processes are killed at
// their commits, each stage six times, and old records are sent again. Fencing has a test of its own.
func TestMutants(t *testing.T) {
	for _, m := range slices.Concat(mutants.Ingest, mutants.Processor, mutants.Sink) {
		if m.Name == mutants.Fencing {
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			s := seed(t)
			w := newWorld(t, s, testservers.Kafka(t), testservers.MySQL(t), &m)
			c, err := w.killAt(rand.New(rand.NewPCG(s, 5)), 18, atCommit)
			switch {
			case err != nil:
				t.Errorf("%s: %v", m, err)
			case c.counts["violations"] > 0:
				t.Logf("%s: red: %s", m, c)
			default:
				t.Errorf("%s: not noticed: %s", m, c)
			}
		})
	}
}
