package sink

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// sifted sifts changes of which some are refused, and returns how many statements that took.
func sifted(t *testing.T, refused []bool, doubtful bool) (statements int) {
	t.Helper()
	all := make([]*rows.Change, len(refused))
	bad := map[*rows.Change]bool{}
	for i, is := range refused {
		all[i] = &rows.Change{Late: true}
		bad[all[i]] = is
	}
	var in []*rows.Change
	_, err := sift(all, func(some []*rows.Change) error {
		statements++
		if slices.ContainsFunc(some, func(x *rows.Change) bool { return bad[x] }) {
			return &faultError{nil, &dialect.RefusedError{Err: errors.New("bad"), Doubtful: doubtful}}
		}
		in = append(in, some...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(in, good(all)) {
		t.Errorf("%d of %d went in: not the good ones, each once and in order", len(in), len(all))
	}
	for i, x := range all {
		if refused[i] != (x.Reason != nil) {
			t.Errorf("change %d of %d: %v", i, len(all), x.Reason)
		}
	}
	return statements
}

// TestSiftFindsTheRefused: those that are refused, and no other, whatever they are.
func TestSiftFindsTheRefused(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 11))
		refused, often := make([]bool, r.IntN(70)), r.IntN(11)
		for i := range refused {
			refused[i] = r.IntN(10) < often
		}
		sifted(t, refused, seed%2 == 0)
	}
}

// TestSiftCostsFewStatements: about one for each change where most are refused, and far fewer where few are.
func TestSiftCostsFewStatements(t *testing.T) {
	const n = 1000
	r := rand.New(rand.NewPCG(1, 12))
	for name, c := range map[string]struct {
		bad  func(i int) bool
		most int
	}{
		"none":             {func(int) bool { return false }, 1},
		"one":              {func(i int) bool { return i == 700 }, 25},
		"ten":              {func(i int) bool { return i%100 == 50 }, 120},
		"every tenth":      {func(i int) bool { return i%10 == 0 }, 550},
		"a hundred":        {func(int) bool { return r.IntN(10) == 0 }, 650},
		"a hundred in row": {func(i int) bool { return i/100 == 4 }, 160},
		"every other":      {func(i int) bool { return i%2 == 0 }, n + 50},
		"half":             {func(int) bool { return r.IntN(2) == 0 }, n + 200},
		"all":              {func(int) bool { return true }, n + 60},
	} {
		t.Run(name, func(t *testing.T) {
			refused := make([]bool, n)
			for i := range refused {
				refused[i] = c.bad(i)
			}
			if got := sifted(t, refused, false); got > c.most {
				t.Errorf("%d statements, want at most %d", got, c.most)
			} else {
				t.Logf("%d statements", got)
			}
		})
	}
}
