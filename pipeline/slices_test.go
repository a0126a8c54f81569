package pipeline_test

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/pipeline"
)

// TestSliceNamesHaveNoNUL: in the state topic, what follows a NUL is not the name of a slice, so that a child whose parent has such a key would
// be lost with the process.
func TestSliceNamesHaveNoNUL(t *testing.T) {
	names := map[string]bool{}
	for _, values := range [][]string{{}, {"a"}, {"a\x00kb"}, {"a\x00", "b"}, {"a", "\x00b"}} {
		name := pipeline.SliceName(values...)
		if strings.ContainsRune(name, 0) || names[name] {
			t.Errorf("%q: %q", values, name)
		}
		names[name] = true
	}
}
