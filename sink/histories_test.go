package sink

import (
	"errors"
	"flag"
	"math/rand/v2"
	"slices"
	"testing"
)

var (
	histories   = flag.Int("histories", 2000, "how many random histories are tried")
	historySeed = flag.Uint64("history", 0, "the seed of the only history to try, as a failure says it")
)

// variant is a way to do things wrongly: the test of the test.
type variant string

const (
	asItIs         variant = ""
	noIndex        variant = "all records of the range are processed, without an index"
	indexOfRange   variant = "the index ends where the range does"
	fromRange      variant = "the index begins where the range does, in a stream with versions"
	noMarking      variant = "removals are not marked during a redo"
	cutFirst       variant = "the cut is read before removals are marked"
	cutBefore      variant = "the cut is read before the old processors are fenced"
	pruned         variant = "marks are pruned during a redo"
	nothingForOnce variant = "a redo sends nothing for a record that a filter of once refuses"
	notFrozen      variant = "what the live line has applied is read before it is frozen"
	untilCommitted variant = "a line is as far as the other once its processors are, whatever its sinks have written"
	ownersKept     variant = "the claims on the line that becomes live are kept"
)

// rounds reports whether a redo that is done so wrongly still goes on for what the table has refused.
func (v variant) rounds() bool { return v != noIndex && v != indexOfRange && v != fromRange }

// swaps reports whether histories that show it need swaps; others show the rest sooner without.
func (v variant) swaps() bool {
	return slices.Contains([]variant{asItIs, notFrozen, untilCommitted, ownersKept}, v)
}

// TestHistories tries random histories on a stream with versions and on one without.
func TestHistories(t *testing.T) {
	workshops := map[bool]*workshop{}
	try := func(seed uint64) error {
		versioned := seed%2 == 0
		if workshops[versioned] == nil {
			workshops[versioned] = newWorkshop(t, versioned)
		}
		return newHistory(t, workshops[versioned], seed, asItIs).run(60 + int(seed%80))
	}
	if *historySeed != 0 {
		if err := try(*historySeed); err != nil {
			t.Fatal(err)
		}
		return
	}
	first := rand.Uint64() >> 1
	n := *histories
	if raceDetector {
		n = min(n, 200) // one goroutine; they take ten times as long
	}
	for i := range uint64(n) {
		if err := try(first + i); err != nil {
			t.Fatalf("%v\n(try it again with -history %d)", err, first+i)
		}
	}
	for _, what := range []string{"swaps", "swaps taken back", "drivers that died", "lines built", "lines dropped", "redos ended", "retries"} {
		if n >= 2000 && workshops[false].seen[what]+workshops[true].seen[what] == 0 {
			t.Errorf("no %s in %d histories from seed %d", what, n, first)
		}
	}
	t.Logf("%d histories, from seed %d: %v, %v", n, first, workshops[false].seen, workshops[true].seen)
}

// TestHistoriesFindWhatIsWrong does redos and swaps wrongly, in each of the ways that matter, and a history must
// notice.
func TestHistoriesFindWhatIsWrong(t *testing.T) {
	// a seed a little before the first that shows it; should the histories change, more are tried
	for wrong, first := range map[variant]uint64{
		noIndex: 50, indexOfRange: 600, fromRange: 0, noMarking: 30, cutFirst: 30, cutBefore: 200, pruned: 80, nothingForOnce: 10,
		notFrozen: 120, untilCommitted: 0, ownersKept: 0,
	} {
		t.Run(string(wrong), func(t *testing.T) {
			plain, versioned := newWorkshop(t, false), newWorkshop(t, true)
			for seed := first; seed < first+20_000; seed++ {
				at := plain
				if seed%2 == 0 {
					at = versioned
				}
				err := newHistory(t, at, seed, wrong).run(100)
				if found, ok := errors.AsType[*violation](err); ok {
					t.Logf("seed %d: %s", seed, found.what)
					return
				}
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
			t.Error("no history has noticed it")
		})
	}
}
