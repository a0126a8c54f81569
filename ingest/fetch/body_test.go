package fetch

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestMemoryIsCounted: what bodies of all sizes hold is what was counted, whatever buffers are used again for them.
func TestMemoryIsCounted(t *testing.T) {
	const total, page = 64 << 20, 4 << 20
	m := NewMemory(total, page, t.TempDir())
	var held []*Body
	for i := range 50 {
		large := make([]byte, page-1-rand.IntN(page/2))
		known, unknown := int64(len(large)), int64(-1)
		for _, size := range []int64{known, unknown} {
			b, err := m.Receive(bytes.NewReader(large), size)
			if err != nil {
				t.Fatal(err)
			}
			b.Close()
		}
		small, err := m.Receive(bytes.NewReader(large[:1000]), 1000) // waits for its turn
		if err != nil {
			t.Fatal(err)
		}
		if held = append(held, small); i%3 == 0 {
			held[0].Close()
			held = held[1:]
		}
		var inMemory int64
		for _, b := range held {
			inMemory += int64(cap(b.mem))
		}
		if counted := total - m.left.Load(); counted != inMemory {
			t.Fatalf("round %d: %d bytes are held, %d are counted", i, inMemory, counted)
		}
	}
	for _, b := range held {
		b.Close()
	}
	if left := m.left.Load(); left != total {
		t.Errorf("%d bytes are left at the end, want %d", left, total)
	}
}
