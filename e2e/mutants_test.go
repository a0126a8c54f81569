//go:build integration && mutants

package e2e

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/mutant"
	"github.com/millrace-io/millrace/internal/testservers"
)

// TestMutants switches one mechanism off at a time, and expects the comparison of the kill test to notice.
func TestMutants(t *testing.T) {
	for _, mechanism := range []string{
		mutant.CursorInTransaction, mutant.OffsetsInTransaction, mutant.RowVersions, mutant.Marks, mutant.ExpectedOffset,
	} {
		t.Run(mechanism, func(t *testing.T) {
			s := seed(t)
			w := newWorld(t, s, testservers.Kafka(t), testservers.MySQL(t), "mutant", "MILLRACE_MUTANT="+mechanism)
			k := &killer{fleet: w.fleet, dice: rand.New(rand.NewPCG(s, 5)), pause: 700 * time.Millisecond}
			c, err := w.survive(k, 30_000, 25, 3*time.Minute)
			switch {
			case err != nil:
				t.Logf("%s off: red: %v", mechanism, err)
			case c.counts["violations"] > 0:
				t.Logf("%s off: red: %s", mechanism, c)
			default:
				t.Errorf("%s off: nobody noticed: %s", mechanism, c)
			}
		})
	}
}
