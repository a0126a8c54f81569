package expression

import (
	"fmt"
	"slices"
)

// Scope is what expressions may name: each path that one of its programs names has a slot, the same for all
// of them. It is complete when the last program is compiled.
type Scope struct {
	paths [][]string
	slots map[string]int
}

// NewScope returns a scope without programs.
func NewScope() *Scope { return &Scope{slots: map[string]int{}} }

// Slot returns the slot of a path, which the scope takes in if it is new. The empty path is the whole record.
func (s *Scope) Slot(path []string) int {
	key := fmt.Sprintf("%q", path)
	slot, ok := s.slots[key]
	if !ok {
		slot = len(s.paths)
		s.paths = append(s.paths, slices.Clone(path))
		s.slots[key] = slot
	}
	return slot
}

// Paths lists the paths by slot. The caller must not change them.
func (s *Scope) Paths() [][]string { return s.paths }
