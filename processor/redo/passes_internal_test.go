package redo

import "testing"

// TestANarrowPassIsNotFollowedByNarrowOnes: two hashes that lie close to each other make one pass narrow. The passes after
// it are wider again, else there would be 2^62 of them.
func TestANarrowPassIsNotFollowedByNarrowOnes(t *testing.T) {
	b := &builder{lo: 0, hi: 1}
	for n := 0; b.hi != top; n++ {
		if n > 64 {
			t.Fatalf("after %d passes hashes from %d on are left", n, b.hi)
		}
		b.next()
	}
}
