package processor

import (
	"testing"
)

// TestValueOfRows: one row is the value itself; several are an array, in order.
func TestValueOfRows(t *testing.T) {
	w := &worker{arena: newArena()}
	for want, rows := range map[string][]string{
		`{"n":1}`:           {`{"n":1}`},
		`[{"n":1},{"n":2}]`: {`{"n":1}`, `{"n":2}`},
	} {
		var made [][]byte
		free := w.arena.free()
		for _, r := range rows {
			start := len(free)
			free = append(free, r...)
			made = append(made, free[start:])
		}
		if got := string(w.value(made)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
