package written

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zeebo/xxh3"
)

// TestWrittenIsNeverWrong writes and forgets at random, with restarts and transactions that are lost: what is called
// unchanged must be what was written last, and what is remembered must stay within its bound.
func TestWrittenIsNeverWrong(t *testing.T) {
	for seed := range uint64(24) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			s := newSimulation(seed)
			for s.step = range 4000 {
				s.fetch(t)
				switch s.r.IntN(40) {
				case 0, 1:
					s.commit(t)
				case 2:
					s.crash(t)
				}
			}
			if s.hits == 0 {
				t.Error("nothing was ever recognised")
			}
			if len(s.topic) > 20*s.bound {
				t.Errorf("%d segments for a bound of %d", len(s.topic), s.bound)
			}
		})
	}
}

// simulation is a slice whose records change at random, and what its log has to be compared with.
type simulation struct {
	r     *rand.Rand
	full  bool
	bound int
	log   *Log
	topic map[uint64][]byte // the state topic: segments by number

	oldest uint64 // in the committed cursor

	committed map[uint64]uint64 // content written last, by key
	pending   map[uint64]uint64 // the same of the transaction in hand

	pass       int64
	step, hits int
}

func newSimulation(seed uint64) *simulation {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &simulation{
		r: r, full: seed%2 == 0, bound: 20 + r.IntN(200), topic: map[uint64][]byte{},
		committed: map[uint64]uint64{}, pending: map[uint64]uint64{}, pass: 1,
	}
	s.log = s.newLog()
	return s
}

func (s *simulation) newLog() *Log {
	l := New(s.bound, s.full, 1<<20)
	l.keep, l.size = s.r.IntN(s.bound), 1+s.r.IntN(20)
	return l
}

// fetch gets one record and writes it unless the log calls it unchanged.
func (s *simulation) fetch(t *testing.T) {
	t.Helper()
	key := xxh3.HashString(fmt.Sprint("k", s.r.IntN(2*s.bound)))
	content := uint64(s.r.IntN(3))
	if s.log.Unchanged(key, content, s.pass) {
		s.hits++
		if last, known := s.last(key); !known || last != content {
			t.Fatalf("step %d: %v is called unchanged as %d, was written last as %d (%v)", s.step, key, content, last, known)
		}
		return
	}
	field := int64(s.step + s.r.IntN(500) - 250)
	if s.r.IntN(20) == 0 {
		s.log.SetHorizon(int64(s.step - s.r.IntN(400) + 100))
	}
	if s.full {
		field = s.pass
	}
	s.log.Wrote(key, content, field)
	s.pending[key] = content
}

// last is the content that was written last for a key.
func (s *simulation) last(key uint64) (content uint64, known bool) {
	if content, known = s.pending[key]; known {
		return content, true
	}
	content, known = s.committed[key]
	return content, known
}

// commit makes the transaction in hand durable; in one of four cases a pass ends with it.
func (s *simulation) commit(t *testing.T) {
	t.Helper()
	if s.r.IntN(4) == 0 {
		s.pass++
		floor := int64(s.step - s.r.IntN(300))
		if s.full {
			floor = s.pass - 1
		}
		s.log.SetFloor(floor)
	}
	records := s.log.Commit()
	s.oldest = s.log.Oldest()
	for _, rec := range records {
		if rec.Value == nil && s.r.IntN(2) == 0 { // else the restore does not see the removal
			delete(s.topic, rec.Segment)
		} else if rec.Value != nil {
			s.topic[rec.Segment] = rec.Value
		}
	}
	maps.Copy(s.committed, s.pending)
	clear(s.pending)
	s.checkCounts(t)
}

func (s *simulation) checkCounts(t *testing.T) {
	t.Helper()
	held := 0
	for _, e := range s.log.index {
		if e.in.held {
			held++
		}
	}
	if n := len(s.log.index); n > s.bound+20+40 || s.log.stored < n-held {
		t.Fatalf("step %d: %d keys, %d stored, bound %d", s.step, n, s.log.stored, s.bound)
	}
	live := 0
	for _, e := range s.log.index {
		if e.field >= s.log.floor && !e.in.held {
			live++
		}
	}
	if live != s.log.live {
		t.Fatalf("step %d: %d live, counted %d", s.step, live, s.log.live)
	}
}

// crash loses the transaction in hand: the next owner reads the state topic.
func (s *simulation) crash(t *testing.T) {
	t.Helper()
	clear(s.pending)
	floor := s.log.floor
	s.log = s.newLog()
	if err := s.log.Restore(s.topic, s.oldest, s.pass); err != nil {
		t.Fatal(err)
	}
	s.log.SetFloor(floor)
}

func TestWrittenForgetsTheLookBack(t *testing.T) {
	w := New(1000, false, 1<<20)
	w.keep = 10
	key := func(i int) uint64 { return uint64(i) | 1<<40 }
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
	items := []item{{1, 3, -5}, {1 << 63, 9, math.MaxInt64}, {0, 0, math.MinInt64}}
	got, err := decodeSegment(encodeSegment(items))
	if err != nil || !slices.Equal(got, items) {
		t.Errorf("%v, %v", got, err)
	}
	for _, b := range [][]byte{nil, {3}, {1, 2}, {2, 1}, encodeSegment(items)[:40]} {
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

func TestForget(t *testing.T) {
	key, content := uint64(1), uint64(2)
	l := New(10, false, 1<<20)
	l.Wrote(key, content, Always)
	stored := map[uint64][]byte{}
	keep := func(records []Record) {
		for _, r := range records {
			stored[r.Segment] = r.Value
			if r.Value == nil {
				delete(stored, r.Segment)
			}
		}
	}
	keep(l.Commit())
	l = New(10, false, 1<<20)
	if err := l.Restore(stored, 0, 1); err != nil || !l.Unchanged(key, content, 1) {
		t.Fatalf("not restored: %v", err)
	}
	l.Forget()
	if l.Unchanged(key, content, 1) {
		t.Error("remembered after Forget")
	}
	keep(l.Commit())
	if len(stored) != 0 {
		t.Errorf("%d segments are left", len(stored))
	}
}

// TestBackfillIsHeld: what will not be fetched again is not stored, but for what the pass turns out to need at its end.
func TestBackfillIsHeld(t *testing.T) {
	const records = 10_000
	l := New(records, false, 1<<20)
	bytes := 0
	commit := func() {
		for _, r := range l.Commit() {
			bytes += len(r.Value)
		}
	}
	for i := range uint64(records) {
		l.SetHorizon(math.MaxInt64)
		l.Wrote(i, ^i, int64(i))
		if i%100 == 0 {
			commit()
		}
	}
	if bytes != 0 {
		t.Errorf("%d bytes stored while the pass continues", bytes)
	}
	if !l.Unchanged(5, ^uint64(5), 1) {
		t.Error("a record that comes twice in a pass is not recognised")
	}
	l.SetFloor(records - 100) // the API's newest records are older than was thought
	commit()
	if bytes < 100*16 || bytes > 100*20 {
		t.Errorf("%d bytes stored for the 100 records of the look-back", bytes)
	}
	for i := range uint64(records) {
		if got, want := l.Unchanged(i, ^i, 1), i >= records-100; got != want {
			t.Fatalf("record %d: known: %v, want %v", i, got, want)
		}
	}
}

func TestWideSegmentsAreRead(t *testing.T) {
	b := []byte{wideVersion}
	for i := range uint64(2) {
		for _, n := range []uint64{99, 10 + i, 98, 20 + i, 30 + i} { // upper and lower half of key and content, field
			b = binary.BigEndian.AppendUint64(b, n)
		}
	}
	got, err := decodeSegment(b)
	if want := []item{{10, 20, 30}, {11, 21, 31}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}
