package ingest

import (
	"cmp"
	"math"
	"slices"

	"github.com/zeebo/xxh3"
)

// written remembers the content that was written last for each of a slice's recent keys, so that a record fetched again
// is written only if it changed. It is a log of segments in the state topic and an index of them in memory; both are
// committed, and lost, together with the records that they speak of.
//
// What must hold: for every key that the index has, its content is the one written last. Otherwise a record
// that changes from A to B and back to A would be taken for unchanged. Hence the segments that remain are always
// the newest ones, without a gap: only the oldest may go, and what is still wanted of it is first written
// again. Whatever of a key is left in the log is then its last word.
//
// Forgetting is always safe: a forgotten record is written again when it is fetched again.
//
// The log is kept below twice the live items and keep, which is the price of cheap cleaning: each commit
// writes at most about as many old items again as it writes new ones.
type written struct {
	index    map[xxh3.Uint128]entry
	segments []*segment // oldest first
	open     *segment   // of the transaction in hand; nil: none
	items    []item     // of open
	closed   []stateRecord
	next     uint64 // number of the next segment
	stored   int    // items in segments and open, superseded ones included
	live     int    // items that the look-back may ask for
	floor    int64  // items with a lower field are not live
	bound    int    // of the index
	keep     int    // so many newest items are kept, live or not
	size     int    // most items of a segment
	full     bool   // the stream has no incremental field: field is the number of the last pass that saw the record
}

type entry struct {
	content xxh3.Uint128
	field   int64
	in      *segment
}

type segment struct {
	number uint64
	keys   []xxh3.Uint128
	live   int
}

// stateRecord is a segment to write, or to remove if value is nil.
type stateRecord struct {
	segment uint64
	value   []byte
}

const (
	segmentItems = 4000 // 160 kB
	keepItems    = 20_000
)

// always is the field of a record that has none: it is live for ever.
const always = math.MaxInt64

// newWritten remembers up to bound keys. A segment fits a record of maxRecordBytes.
func newWritten(bound int, full bool, maxRecordBytes int32) *written {
	const overhead = 1000 // of a record: key and format, generously
	return &written{
		index: map[xxh3.Uint128]entry{}, bound: bound, keep: min(bound, keepItems), full: full, floor: math.MinInt64,
		size: max(1, min(segmentItems, (int(maxRecordBytes)-overhead)/itemBytes)),
	}
}

// unchanged reports whether content is what was written last for key.
func (w *written) unchanged(key, content xxh3.Uint128, pass int64) bool {
	e, ok := w.index[key]
	if !ok || e.content != content {
		return false
	}
	if w.full && e.field < pass {
		if e.field < w.floor && pass >= w.floor {
			e.in.live++
			w.live++
		}
		e.field = pass
		w.index[key] = e
	}
	return true
}

// wrote notes that content was written for key.
func (w *written) wrote(key, content xxh3.Uint128, field int64) {
	old, known := w.index[key]
	if !known && (w.bound == 0 || w.full && len(w.index) >= w.bound) {
		// With a stream that is fetched whole each time, the oldest is just what comes next: forgetting it for
		// this one would forget everything in turn.
		return
	}
	if known && old.field >= w.floor {
		old.in.live--
		w.live--
	}
	if w.open == nil {
		w.open = &segment{number: w.next}
		w.next++
	}
	w.open.keys = append(w.open.keys, key)
	w.items = append(w.items, item{key, content, field})
	w.stored++
	w.index[key] = entry{content, field, w.open}
	if field >= w.floor {
		w.open.live++
		w.live++
	}
	if len(w.items) >= w.size {
		w.closeSegment()
	}
}

func (w *written) closeSegment() {
	if w.open == nil {
		return
	}
	w.closed = append(w.closed, stateRecord{w.open.number, encodeSegment(w.items)})
	w.segments = append(w.segments, w.open)
	w.open, w.items = nil, w.items[:0]
}

// commit returns what the transaction in hand must write to the state topic.
func (w *written) commit() []stateRecord {
	moved := 0
	quota := max(len(w.items), 1000) + w.size*len(w.closed)
	for len(w.segments) > 0 {
		oldest := w.segments[0]
		switch {
		case w.stored > w.keep && oldest.live == 0, len(w.index) > w.bound:
			w.drop()
		case w.stored > 2*w.live+w.keep && moved < quota:
			moved += w.move(oldest)
			w.drop()
		default:
			w.closeSegment()
			out := w.closed
			w.closed = nil
			return out
		}
	}
	w.closeSegment()
	out := w.closed
	w.closed = nil
	return out
}

// drop forgets the oldest segment.
func (w *written) drop() {
	oldest := w.segments[0]
	w.segments[0] = nil
	w.segments = w.segments[1:]
	for _, k := range oldest.keys {
		if e, ok := w.index[k]; ok && e.in == oldest {
			delete(w.index, k)
		}
	}
	w.stored -= len(oldest.keys)
	w.live -= oldest.live
	w.closed = append(w.closed, stateRecord{segment: oldest.number})
}

// move writes the live items of a segment again.
func (w *written) move(s *segment) (moved int) {
	for _, k := range s.keys {
		if e, ok := w.index[k]; ok && e.in == s && e.field >= w.floor {
			w.wrote(k, e.content, e.field)
			moved++
		}
	}
	return moved
}

// setFloor says that items with a lower field will not be fetched again.
func (w *written) setFloor(floor int64) {
	if floor == w.floor {
		return
	}
	w.floor, w.live = floor, 0
	for _, s := range w.segments {
		s.live = 0
	}
	if w.open != nil {
		w.open.live = 0
	}
	for _, e := range w.index {
		if e.field >= floor {
			e.in.live++
			w.live++
		}
	}
}

// restore replays the segments that the state topic has. In a stream that is fetched whole, all of them count as seen
// in pass.
func (w *written) restore(segments map[uint64][]byte, pass int64) error {
	numbers := make([]uint64, 0, len(segments))
	for n := range segments {
		numbers = append(numbers, n)
	}
	slices.SortFunc(numbers, cmp.Compare)
	for _, n := range numbers {
		items, err := decodeSegment(segments[n])
		if err != nil {
			return err
		}
		s := &segment{number: n}
		for _, i := range items {
			if w.full {
				i.field = pass
			}
			s.keys = append(s.keys, i.key)
			w.index[i.key] = entry{i.content, i.field, s}
		}
		w.segments = append(w.segments, s)
		w.stored += len(items)
		w.next = n + 1
	}
	floor := w.floor
	w.floor = floor + 1 // count anew
	w.setFloor(floor)
	return nil
}
