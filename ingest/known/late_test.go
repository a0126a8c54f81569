package known_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/ingest/known"
)

// change is a pass that asks for what has changed: it shows keys, and does not tell what is gone.
func (r *reads) change(shown ...int) {
	r.pass++
	for _, k := range shown {
		r.write(k, known.Revision{Source: r.pass, HasSource: true})
	}
}

// TestWhatCameAfterAReadIsNotConfirmedByIt: the read before says nothing of a key that it could not show. Such a key
// may have slipped in the only read that there was since.
func TestWhatCameAfterAReadIsNotConfirmedByIt(t *testing.T) {
	all := upTo(10)
	for name, between := range map[string]func(r *reads){
		"a pass over changes shows them": func(r *reads) { r.change(3, 20) },
		"a read that does not count shows them": func(r *reads) {
			r.pass++
			r.keys.Begin(r.pass)
			for _, k := range append(slices.Clone(all), 20) {
				r.see(k)
			}
			r.keys.Blind("a page was passed over")
			if _, why := r.keys.Judge(r.known, r.rule); why == "" {
				t.Error("it counts")
			}
		},
		"a read that another process ends": func(r *reads) {
			r.pass++
			r.keys.Begin(r.pass)
			for _, k := range []int{3, 20} {
				r.see(k)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReads(known.Rule{AtMost: 100, InTurn: true})
			r.read(t, all...)
			r.read(t, without(all, 3)...) // 3 is gone
			between(r)
			if gone := r.read(t, without(all, 3)...); slices.Contains(gone, 20) || slices.Contains(gone, 3) {
				t.Errorf("%v deleted: they were shown since, and may have slipped", gone)
			}
			left := r.known.Left
			if gone := r.read(t, without(all, 3)...); int64(len(gone)) != left || left == 0 {
				t.Errorf("%v deleted of the %d that were left", gone, left)
			}
		})
	}
}

// TestWhatCameAfterAReadIsRestoredSo: it is known after a take-over, too.
func TestWhatCameAfterAReadIsRestoredSo(t *testing.T) {
	all := upTo(10)
	r := newReads(known.Rule{AtMost: 100, InTurn: true})
	r.read(t, all...)
	r.read(t, without(all, 3)...)
	r.pass++
	r.write(3, known.Revision{}) // it is there again, as it was
	r.change(20)
	restored := known.NewRestored()
	for _, k := range append(all, 20) {
		restored.Apply(key(k), r.stored[id(k)])
	}
	r.keys = known.Adopt(restored, &r.known, known.NewRoom(1000))
	if gone := r.read(t, without(all, 3)...); gone != nil {
		t.Errorf("%v deleted", gone)
	}
	if gone := r.read(t, without(all, 3)...); !slices.Equal(gone, []int{3, 20}) {
		t.Errorf("%v deleted by the read that confirms it", gone)
	}
}

// TestNothingSlipsThroughManyChanges is as TestNoTombstoneForARecordThatIsThere, with many changes in a read, passes
// over changes between reads, and pages that are fetched at the same time.
func TestNothingSlipsThroughManyChanges(t *testing.T) {
	for seed := range uint64(300) {
		for _, inTurn := range []bool{true, false} {
			l := &listing{r: rand.New(rand.NewPCG(seed, 2)), list: upTo(15), next: 100}
			r := newReads(known.Rule{AtMost: 100, InTurn: inTurn})
			for range 60 {
				before := slices.Clone(l.list)
				for _, k := range r.read(t, l.read(inTurn, l.r.IntN(3))...) {
					if slices.Contains(before, k) && slices.Contains(l.list, k) {
						t.Fatalf("seed %d, in turn %v, read %d: a tombstone of %d, which is there", seed, inTurn, r.pass, k)
					}
				}
				if l.r.IntN(3) == 0 {
					l.change()
					if n := len(l.list); n > 0 {
						r.change(l.list[l.r.IntN(n)])
					}
				}
			}
		}
	}
}
