//go:build integration && !race

package swap_test

import "testing"

// TestLinesAreKilledOnServers kills commands that swap lines, and that drop one, on Kafka and MySQL: see
// [TestSwapAndRollbackAreKilled] and [TestDropIsKilled].
func TestLinesAreKilledOnServers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kill  func(w *world) int
		least int
	}{
		"swap": {func(w *world) int {
			w.shadow(triples)
			return w.killSwaps(true, 31)
		}, 4},
		"drop": {func(w *world) int { return w.killDrops(4) }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := onServers(t, doubles)
			w.begin(100)
			read := w.watched()
			if kills := c.kill(w); kills < c.least {
				t.Errorf("%d kills, want %d or more", kills, c.least)
			}
			read()
		})
	}
}
