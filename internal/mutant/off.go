//go:build !mutant

// Package mutant switches single mechanisms off, to prove that the promise tests notice. Only a binary
// built with the tag mutant can: in every other build Off is a constant false.
package mutant

// Off reports whether the mechanism of that name is switched off.
func Off(string) bool { return false }
