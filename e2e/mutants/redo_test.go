//go:build mutants

package mutants_test

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/e2e/mutants"
)

// TestRedoMutants switches one mechanism of a redo off at a time, and expects its test to be red. The tests need no
// servers.
func TestRedoMutants(t *testing.T) {
	for _, m := range mutants.Redo {
		red(t, m, mutants.RedoTests[m.Name])
	}
}

// TestDecisionsMutants does so with what holds decisions, processors and tables together.
func TestDecisionsMutants(t *testing.T) {
	for _, m := range mutants.Decisions {
		red(t, m, mutants.DecisionsTests[m.Name])
	}
}

// TestSwapsMutants does so with swaps and comparisons of two tables. Some of its tests need servers.
func TestSwapsMutants(t *testing.T) {
	for _, m := range mutants.Swaps {
		red(t, m, mutants.SwapsTests[m.Name])
	}
}

// TestRepairsMutants does so with sweeps, edits and retries of dead letters.
func TestRepairsMutants(t *testing.T) {
	for _, m := range mutants.Repairs {
		red(t, m, mutants.RepairsTests[m.Name])
	}
}

func red(t *testing.T, m mutants.Mutant, test mutants.RedTest) {
	t.Helper()
	t.Run(m.Name, func(t *testing.T) {
		root, err := mutants.Root()
		if err != nil {
			t.Fatal(err)
		}
		output, err := m.Test(t.Context(), root, test)
		if err == nil || !strings.Contains(output, "--- FAIL: "+test.Name) {
			t.Fatalf("not noticed: %v %s", err, output)
		}
		for line := range strings.Lines(output) {
			if strings.Contains(line, "_test.go:") {
				t.Logf("red: %s", strings.TrimSpace(line))
			}
		}
	})
}
