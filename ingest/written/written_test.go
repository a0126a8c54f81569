package written

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/zeebo/xxh3"
)

// TestWrittenIsNeverWrong writes and forgets at random, with restarts and transactions that are lost: what is said to be
// unchanged must be what was written last, and what is remembered must stay within its bound.
func TestWrittenIsNeverWrong(t *testing.T) {
	for seed := range uint64(24) {
		r := rand.New(rand.NewPCG(seed, 1))
		full := seed%2 == 0
		bound := 20 + r.IntN(200)
		fresh := func() *Log {
			w := New(bound, full, 1<<20)
			w.keep, w.size = r.IntN(bound), 1+r.IntN(20)
			return w
		}
		w := fresh()
		log := map[uint64][]byte{}         // the state topic
		truth := map[xxh3.Uint128]uint64{} // content written last, as committed
		pending := map[xxh3.Uint128]uint64{}
		pass, hits := int64(1), 0
		for step := range 4000 {
			key := xxh3.HashString128(fmt.Sprint("k", r.IntN(2*bound)))
			content := uint64(r.IntN(3))
			hash := xxh3.Uint128{Lo: content}
			last, known := pending[key]
			if !known {
				last, known = truth[key]
			}
			if w.Unchanged(key, hash, pass) {
				hits++
				if !known || last != content {
					t.Fatalf("seed %d, step %d: %v is said to be %d, was written last as %d (%v)", seed, step, key, content, last, known)
				}
			} else {
				field := int64(step + r.IntN(500) - 250)
				if full {
					field = pass
				}
				w.Wrote(key, hash, field)
				pending[key] = content
			}
			switch r.IntN(40) {
			case 0, 1: // commit
				if r.IntN(4) == 0 {
					pass++
					floor := int64(step - r.IntN(300))
					if full {
						floor = pass - 1
					}
					w.SetFloor(floor)
				}
				for _, rec := range w.Commit() {
					if rec.Value == nil {
						delete(log, rec.Segment)
					} else {
						log[rec.Segment] = rec.Value
					}
				}
				maps.Copy(truth, pending)
				clear(pending)
				if len(w.index) > bound+20+40 || w.stored < len(w.index) {
					t.Fatalf("seed %d: %d keys, %d stored, bound %d", seed, len(w.index), w.stored, bound)
				}
				live := 0
				for _, e := range w.index {
					if e.field >= w.floor {
						live++
					}
				}
				if live != w.live {
					t.Fatalf("seed %d, step %d: %d live, counted %d", seed, step, live, w.live)
				}
			case 2: // crash: what was not committed is lost
				clear(pending)
				floor := w.floor
				w = fresh()
				if err := w.Restore(log, pass); err != nil {
					t.Fatal(err)
				}
				w.SetFloor(floor)
			}
		}
		if hits == 0 {
			t.Errorf("seed %d: nothing was ever recognised", seed)
		}
		if items := len(log); items > 20*bound {
			t.Errorf("seed %d: %d segments for a bound of %d", seed, items, bound)
		}
	}
}

func TestWrittenForgetsTheLookBack(t *testing.T) {
	w := New(1000, false, 1<<20)
	w.keep = 10
	key := func(i int) xxh3.Uint128 { return xxh3.Uint128{Lo: uint64(i), Hi: 1} }
	var kept, dropped int
	for i := range 500 {
		w.Wrote(key(i), key(i), int64(i))
		w.SetFloor(int64(i - 50))
		for _, r := range w.Commit() {
			if r.Value == nil {
				dropped++
			} else {
				kept++
			}
		}
	}
	if len(w.index) > 75 || kept-dropped > 75 {
		t.Errorf("%d keys, %d segments left of %d; want about 50", len(w.index), kept-dropped, kept)
	}
	for i := 450; i < 500; i++ {
		if !w.Unchanged(key(i), key(i), 1) {
			t.Errorf("%d in the look-back is forgotten", i)
		}
	}
}

func TestSegmentsRoundTrip(t *testing.T) {
	items := []item{{xxh3.Uint128{Hi: 1, Lo: 2}, xxh3.Uint128{Hi: 3, Lo: 4}, -5}, {xxh3.Uint128{}, xxh3.Uint128{Lo: 9}, math.MaxInt64}}
	got, err := decodeSegment(encodeSegment(items))
	if err != nil || len(got) != 2 || got[0] != items[0] || got[1] != items[1] {
		t.Errorf("%v, %v", got, err)
	}
	for _, b := range [][]byte{nil, {2}, {1, 2}} {
		if _, err := decodeSegment(b); err == nil {
			t.Errorf("%v was taken", b)
		}
	}
	slice, number, ok := ParseSegmentKey(string(SegmentKey("items/eu/1", 77)))
	if slice != "items/eu/1" || number != 77 || !ok {
		t.Errorf("key came back as %q %d %v", slice, number, ok)
	}
	if _, _, ok := ParseSegmentKey("items/eu"); ok {
		t.Error("a cursor's key was taken for a segment's")
	}
}
