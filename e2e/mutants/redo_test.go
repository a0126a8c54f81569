//go:build mutants

package mutants_test

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/e2e/mutants"
)

// TestRedoMutants switches one mechanism of a redo off at a time, and expects its test to be red. The tests need no servers.
func TestRedoMutants(t *testing.T) {
	root, err := mutants.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants.Redo {
		t.Run(m.Name, func(t *testing.T) {
			output, err := m.Test(t.Context(), root, "./internal/replay", mutants.RedoTests[m.Name])
			if err == nil || !strings.Contains(output, "--- FAIL: "+mutants.RedoTests[m.Name]) {
				t.Fatalf("not noticed: %v %s", err, output)
			}
			for line := range strings.Lines(output) {
				if strings.Contains(line, "_test.go:") {
					t.Logf("red: %s", strings.TrimSpace(line))
				}
			}
		})
	}
}
