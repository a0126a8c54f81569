//go:build mutant

// Package mutant switches single mechanisms off, to prove that the promise tests notice. Only a binary
// built with the tag mutant can: in every other build Off is a constant false.
package mutant

import (
	"os"
	"slices"
	"strings"
)

var off = strings.Split(os.Getenv("MILLRACE_MUTANT"), ",")

// Off reports whether the mechanism of that name is switched off.
func Off(mechanism string) bool { return slices.Contains(off, mechanism) }
