//go:build integration && mutants

package e2e

import (
	"math/rand/v2"
	"testing"

	"github.com/millrace-io/millrace/internal/mutant"
	"github.com/millrace-io/millrace/internal/testservers"
)

// TestMutants switches one mechanism off at a time, and expects the comparison to notice when processes are killed at their
// commits, each stage six times, and old records are sent again.
func TestMutants(t *testing.T) {
	for _, mechanism := range []string{
		mutant.CursorInTransaction, mutant.OffsetsInTransaction, mutant.RowVersions, mutant.Marks, mutant.ExpectedOffset,
	} {
		t.Run(mechanism, func(t *testing.T) {
			s, off := seed(t), "MILLRACE_MUTANT="+mechanism
			w := newWorld(t, s, testservers.Kafka(t), testservers.MySQL(t), "mutant", off)
			c, err := w.killAt(rand.New(rand.NewPCG(s, 5)), 18, atCommit, "mutant", off)
			switch {
			case err != nil:
				t.Errorf("%s off: %v", mechanism, err)
			case c.counts["violations"] > 0:
				t.Logf("%s off: red: %s", mechanism, c)
			default:
				t.Errorf("%s off: nobody noticed: %s", mechanism, c)
			}
		})
	}
}
