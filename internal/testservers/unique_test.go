package testservers_test

import (
	"regexp"
	"testing"

	"github.com/millrace-io/millrace/internal/testservers"
)

func TestUniqueIsAPipelineName(t *testing.T) {
	valid := regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,59}$`)
	for _, name := range []string{"Ä / long name that goes on and on and on and on and on and on and on", "x"} {
		t.Run(name, func(t *testing.T) {
			a, b := testservers.Unique(t), testservers.Unique(t)
			if !valid.MatchString(a) || a == b {
				t.Errorf("Unique gave %q and %q", a, b)
			}
		})
	}
}
