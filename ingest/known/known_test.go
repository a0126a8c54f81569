package known_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/known"
)

func key(k int) string { return strconv.Itoa(k) }

func id(k int) uint64 { return known.ID([]byte(key(k))) }

// reads is a slice whose complete reads are judged one after the other.
type reads struct {
	keys  *known.Keys
	known cursor.Known
	pass  int64
	rule  known.Rule

	stored map[uint64][]byte // what the state topic has
}

func newReads(rule known.Rule) *reads {
	return &reads{keys: known.Adopt(nil, nil, known.NewRoom(1_000_000)), rule: rule, stored: map[uint64][]byte{}}
}

// read is a complete read that shows keys, in the order of its pages. It returns the keys that are deleted.
func (r *reads) read(t *testing.T, shown ...int) (gone []int) {
	t.Helper()
	r.pass++
	r.keys.Begin(r.pass)
	for _, k := range shown {
		r.see(k)
	}
	v, why := r.keys.Judge(r.known, r.rule)
	if why != "" {
		t.Fatalf("read %d does not count: %s", r.pass, why)
	}
	r.known = v.Known
	for _, g := range v.Gone {
		r.keys.Delete(g)
		for k := range 100_000 {
			if id(k) == g {
				gone = append(gone, k)
				break
			}
		}
	}
	slices.Sort(gone)
	return gone
}

// see shows a key.
func (r *reads) see(k int) {
	r.keys.See(id(k), true)
	r.write(k, known.Revision{})
}

func (r *reads) write(k int, rev known.Revision) {
	if value := r.keys.Write(id(k), r.pass, rev); value != nil {
		r.stored[id(k)] = value
	}
}

func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func without(list []int, drop ...int) []int {
	return slices.DeleteFunc(slices.Clone(list), func(k int) bool { return slices.Contains(drop, k) })
}

// TestAReadConfirmsTheOneBefore: what a read of several pages does not show is deleted when the next shows all that it
// has shown.
func TestAReadConfirmsTheOneBefore(t *testing.T) {
	r := newReads(known.Rule{AtMost: 50, InTurn: true})
	all := upTo(10)
	for i, step := range []struct {
		shows, gone []int
		left        int64
	}{
		{all, nil, 0},
		{without(all, 3), nil, 1},
		{without(all, 3), []int{3}, 0},
		{without(all, 3, 4), nil, 1},    // 4 has slipped, or is gone
		{without(all, 3), nil, 0},       // it had slipped
		{without(all, 3, 4), nil, 1},    // and again
		{without(all, 3, 4, 5), nil, 2}, // as 5 is gone since, 4 may have slipped because of it
		{without(all, 3, 4, 5), []int{4, 5}, 0},
		{append(without(all, 3, 4, 5, 6), 20), nil, 1},
		{append(without(all, 3, 4, 5, 6), 20, 21), []int{6}, 0}, // what is new pulls nothing forward
	} {
		if d := cmp.Diff(step.gone, r.read(t, step.shows...)); d != "" || r.known.Left != step.left {
			t.Fatalf("read %d: %d left\n%s", i+1, r.known.Left, d)
		}
	}
}

// TestATwiceShownKeyIsNoProof, nor is a new one where pages are fetched at the same time.
func TestATwiceShownKeyIsNoProof(t *testing.T) {
	for _, inTurn := range []bool{true, false} {
		r := newReads(known.Rule{AtMost: 50, InTurn: inTurn})
		r.read(t, 1, 2, 3, 4, 5)
		r.read(t, 1, 2, 2, 4, 5) // 3 has slipped
		if gone := r.read(t, 1, 2, 4, 5); gone != nil {
			t.Errorf("%v deleted after a key came twice", gone)
		}
		if gone := r.read(t, 1, 2, 4, 5); gone == nil {
			t.Error("not deleted after two reads that show the same")
		}
		r.read(t, 1, 2, 4, 6) // 5 may have been pushed into a page that was read
		gone := r.read(t, 1, 2, 4, 6)
		if (gone != nil) != inTurn {
			t.Errorf("in turn: %v: %v", inTurn, gone)
		}
		if more := r.read(t, 1, 2, 4, 6); (more != nil) == inTurn {
			t.Errorf("in turn: %v: %v, then %v", inTurn, gone, more)
		}
	}
}

// TestTooManyAreHeld until a person allows it, and only those.
func TestTooManyAreHeld(t *testing.T) {
	allowed := int64(0)
	r := newReads(known.Rule{AtMost: 10, Steady: true})
	r.rule.Allowed = func(since, held int64) int64 {
		if since != r.known.Held.Since {
			t.Errorf("asked about %d", since)
		}
		return min(allowed, held)
	}
	all := upTo(20)
	r.read(t, all...)
	if gone := r.read(t, without(all, 1, 2)...); len(gone) != 2 {
		t.Fatalf("10 %%: %v", gone)
	}
	rest := without(all, 1, 2)
	if gone := r.read(t, without(rest, 3, 4, 5)...); gone != nil || r.known.Left != 3 {
		t.Fatalf("%v, %+v", gone, r.known)
	}
	since := r.known.Held.Since
	if r.read(t, without(rest, 3, 4)...); r.known.Held.Since != since || r.known.Left != 2 {
		t.Fatalf("fewer are held as another lot: %+v", r.known)
	}
	if r.read(t, without(rest, 3, 4, 5, 6)...); r.known.Held.Since == since || r.known.Left != 4 {
		t.Fatalf("more are held as the same lot: %+v", r.known)
	}
	allowed = 4
	if gone := r.read(t, without(rest, 3, 4, 5, 6, 7)...); gone != nil {
		t.Fatalf("more than was allowed: %v", gone)
	}
	allowed = 5
	if gone := r.read(t, without(rest, 3, 4, 5, 6, 7)...); len(gone) != 5 || r.known.Held != nil || r.known.Left != 0 {
		t.Fatalf("%v, %+v", gone, r.known)
	}
}

// TestAnEmptyReadDeletesNothing: an API that has lost its data, or its filter, answers so.
func TestAnEmptyReadDeletesNothing(t *testing.T) {
	r := newReads(known.Rule{AtMost: 10, Steady: true})
	r.read(t, 1)
	if gone := r.read(t); gone != nil || r.known.Held == nil {
		t.Errorf("the only key: %v, %+v", gone, r.known)
	}
	r.read(t, 1, 2, 3)
	if gone := r.read(t, 1, 2); len(gone) != 1 {
		t.Errorf("one of three: %v", gone)
	}
}

// TestWhatIsRestored: keys of the era count, contents from the base on.
func TestWhatIsRestored(t *testing.T) {
	room := known.NewRoom(3)
	k := known.Adopt(nil, nil, room)
	state := map[string][]byte{}
	for i, pass := range []int64{1, 2, 3} {
		state[strconv.Itoa(i)] = k.Write(id(i), pass, known.Revision{Content: uint64(100 + i), HasContent: true, Source: int64(-i), HasSource: true})
	}
	if k.Write(id(0), 9, known.Revision{Content: 100, HasContent: true, HasSource: true}) != nil {
		t.Error("written again although nothing is new")
	}
	if k.Write(id(7), 9, known.Revision{}) != nil || k.Len() != 3 {
		t.Error("there was room for a fourth")
	}
	k.Close()
	r := known.NewRestored()
	for key, value := range state {
		r.Apply(key, value)
	}
	r.Apply("9", state["2"])
	r.Apply("9", nil)
	k = known.Adopt(r, &cursor.Known{Era: 2, Base: 3}, room)
	if k.Len() != 2 || k.Unchanged(id(0), 100) || k.Unchanged(id(1), 101) || !k.Unchanged(id(2), 102) || r.Err() != nil {
		t.Errorf("%d keys: %v", k.Len(), r.Err())
	}
	if got := k.Revision(id(1)); got.Source != -1 || !got.HasSource {
		t.Errorf("%+v", got)
	}
	r.Apply("5", []byte{9})
	if r.Err() == nil {
		t.Error("a value of another version was taken")
	}
}

func TestStateKeys(t *testing.T) {
	slice, raw, ok := known.ParseStateKey(string(known.StateKey("items/eu", []byte("a\x00k\x00b"))))
	if slice != "items/eu" || raw != "a\x00k\x00b" || !ok {
		t.Errorf("%q %q %v", slice, raw, ok)
	}
	for _, key := range []string{"items/eu", "items/eu\x000000000000000001", "claim"} {
		if _, _, ok := known.ParseStateKey(key); ok {
			t.Errorf("%q was taken", key)
		}
	}
}

// listing is an API with a list that is read by offset, in turn or not, while records come and go: at the front, at the
// end, in the middle, or from one place to another.
type listing struct {
	r    *rand.Rand
	list []int
	next int
}

func (l *listing) change() {
	at := l.r.IntN(len(l.list) + 1)
	switch l.r.IntN(4) {
	case 0:
		l.next++
		l.list = slices.Insert(l.list, at, l.next)
	case 1:
		if len(l.list) > 5 && at < len(l.list) {
			l.list = slices.Delete(l.list, at, at+1)
		}
	case 2: // revised, in a list that is sorted by revision
		if at < len(l.list) {
			k := l.list[at]
			l.list = append(slices.Delete(l.list, at, at+1), k)
		}
	case 3:
		if at < len(l.list) {
			k := l.list[at]
			l.list = slices.Insert(slices.Delete(l.list, at, at+1), 0, k)
		}
	}
}

// read is what a read of pages of three shows, with so many changes in it.
func (l *listing) read(inTurn bool, changes int) (shown []int) {
	const size = 3
	pages := len(l.list)/size + 2
	order := upTo(pages)
	if !inTurn {
		l.r.Shuffle(pages, func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	got := make([][]int, pages)
	before := map[int]bool{}
	for range changes {
		before[l.r.IntN(pages)] = true
	}
	for i, p := range order {
		if before[i] {
			l.change()
		}
		from := min(p*size, len(l.list))
		got[p] = slices.Clone(l.list[from:min(from+size, len(l.list))])
	}
	return slices.Concat(got...)
}

// TestNoTombstoneForARecordThatIsThere, whatever moves while it is read; and what is gone goes, once the API rests.
func TestNoTombstoneForARecordThatIsThere(t *testing.T) {
	for seed := range uint64(200) {
		for _, inTurn := range []bool{true, false} {
			l := &listing{r: rand.New(rand.NewPCG(seed, 1)), list: upTo(20), next: 100}
			r := newReads(known.Rule{AtMost: 100, InTurn: inTurn})
			deleted := map[int]bool{}
			step := func(changes int) {
				there := slices.Clone(l.list)
				gone := r.read(t, l.read(inTurn, changes)...)
				for _, k := range gone {
					if slices.Contains(there, k) && slices.Contains(l.list, k) {
						t.Fatalf("seed %d, in turn %v, read %d: a tombstone of %d, which is there", seed, inTurn, r.pass, k)
					}
					deleted[k] = true
				}
				for _, k := range l.list {
					delete(deleted, k)
				}
			}
			for range 50 {
				step(l.r.IntN(2))
				if l.r.IntN(3) == 0 {
					l.change()
				}
			}
			for range 3 {
				step(0)
			}
			if r.keys.Len() != len(l.list) || r.known.Left != 0 {
				t.Fatalf("seed %d, in turn %v: %d keys are known and %d there; %+v", seed, inTurn, r.keys.Len(), len(l.list), r.known)
			}
		}
	}
}

// TestABlindReadChangesNothing.
func TestABlindReadChangesNothing(t *testing.T) {
	r := newReads(known.Rule{AtMost: 100, Steady: true})
	r.read(t, 1, 2)
	r.keys.Begin(7)
	r.keys.See(id(1), true)
	r.keys.Blind("first")
	r.keys.Blind("second")
	v, why := r.keys.Judge(r.known, r.rule)
	if why != "first" || v.Gone != nil || v.Known != r.known || r.keys.Len() != 2 {
		t.Errorf("%q, %+v", why, v)
	}
	if gone := r.read(t, 1); len(gone) != 1 {
		t.Errorf("the read after it: %v", gone)
	}
}

func FuzzStateValue(f *testing.F) {
	k := known.Adopt(nil, nil, known.NewRoom(10))
	f.Add(k.Write(1, 5, known.Revision{Content: 7, HasContent: true, Source: -3, HasSource: true}))
	f.Add([]byte{1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := known.NewRestored()
		r.Apply("x", b) // must not panic
		if r.Err() == nil && len(b) > 3+2*binary.MaxVarintLen64+8 {
			t.Errorf("%s was taken", fmt.Sprintf("%x", b))
		}
	})
}

// TestTheHighestVersionIsKept: pages that are asked for at the same time may bring an older revision last, and the row
// has the newer one.
func TestTheHighestVersionIsKept(t *testing.T) {
	t.Parallel()
	keys := known.Adopt(nil, nil, known.NewRoom(10))
	keys.Begin(1)
	keys.Write(id(1), 1, known.Revision{Source: 9, HasSource: true, Content: 90, HasContent: true})
	stored := keys.Write(id(1), 1, known.Revision{Source: 5, HasSource: true, Content: 50, HasContent: true})
	want := known.Revision{Source: 9, HasSource: true, Content: 50, HasContent: true}
	if got := keys.Revision(id(1)); got != want || stored == nil {
		t.Errorf("%+v, stored %x; want %+v", got, stored, want)
	}
	if !keys.Unchanged(id(1), 50) || keys.Unchanged(id(1), 90) {
		t.Error("the newer revision would not be written again")
	}
}
