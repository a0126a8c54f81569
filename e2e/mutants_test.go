//go:build integration && mutants

package e2e

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/mutant"
	"github.com/millrace-io/millrace/internal/testservers"
)

// mutants says which processes to kill, how often, and the pause between kills: a window of milliseconds is hit by many kills
// of the stage that has it.
var mutants = []struct {
	mechanism string
	names     []string
	kills     int
	pause     time.Duration
}{
	{mutant.CursorInTransaction, twoOfEach, 25, 700 * time.Millisecond},
	{mutant.OffsetsInTransaction, []string{"processor-1", "processor-2"}, 60, 500 * time.Millisecond},
	{mutant.RowVersions, twoOfEach, 8, 700 * time.Millisecond},
	{mutant.Marks, twoOfEach, 8, 700 * time.Millisecond},
	{mutant.ExpectedOffset, []string{"sink-1", "sink-2"}, 10, 700 * time.Millisecond},
}

// TestMutants switches one mechanism off at a time, and expects the comparison of the kill test to notice.
func TestMutants(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.mechanism, func(t *testing.T) {
			s := seed(t)
			w := newWorld(t, s, testservers.Kafka(t), testservers.MySQL(t), "mutant", "MILLRACE_MUTANT="+m.mechanism)
			k := &killer{fleet: w.fleet, dice: rand.New(rand.NewPCG(s, 5)), pause: m.pause}
			c, err := w.survive(k, m.names, 30_000, m.kills, 3*time.Minute)
			switch {
			case err != nil:
				t.Logf("%s off: red: %v", m.mechanism, err)
			case c.counts["violations"] > 0:
				t.Logf("%s off: red: %s", m.mechanism, c)
			default:
				t.Errorf("%s off: nobody noticed: %s", m.mechanism, c)
			}
		})
	}
}
