package written

import (
	"cmp"
	"math"
	"slices"

	"github.com/zeebo/xxh3"
)

// Log remembers the content that was written last for each of a slice's recent keys, so that a record fetched again
// is written only if it changed. It is a log of segments in the state topic and an index of them in memory; both are
// committed, and lost, together with the records that they speak of.
//
// What must hold: for every key that the index has, its content is the one written last. Otherwise a record
// that changes from A to B and back to A would count as unchanged. Hence the segments that remain are always
// the newest ones, without a gap: only the oldest may go, and what is still wanted of it is first written
// again. Whatever of a key is left in the log is then its last word.
//
// Forgetting is always safe: a forgotten record is written again when it is fetched again.
//
// It must not be used concurrently.
//
// The log is kept below twice the live items and keep, which is the price of cheap cleaning: each commit
// writes at most about as many old items again as it writes new ones.
type Log struct {
	index    map[xxh3.Uint128]entry
	segments []*segment // oldest first
	open     *segment   // of the transaction in hand; nil: none
	items    []item     // of open
	closed   []Record
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

// Record is a segment to write to the state topic, or to remove if Value is nil.
type Record struct {
	Segment uint64
	Value   []byte
}

const (
	segmentItems = 4000 // 160 kB
	keepItems    = 20_000
)

// Always is the field of a record that has none: it is live for ever.
const Always = math.MaxInt64

// New remembers up to bound keys. A segment fits a record of maxRecordBytes. With full, the stream has no incremental
// field, and a record's field is the number of the pass.
func New(bound int, full bool, maxRecordBytes int32) *Log {
	const overhead = 1000 // of a record: key and format, generously
	return &Log{
		index: map[xxh3.Uint128]entry{}, bound: bound, keep: min(bound, keepItems), full: full, floor: math.MinInt64,
		size: max(1, min(segmentItems, (int(maxRecordBytes)-overhead)/itemBytes)),
	}
}

// Unchanged reports whether content is what was written last for key.
func (l *Log) Unchanged(key, content xxh3.Uint128, pass int64) bool {
	e, ok := l.index[key]
	if !ok || e.content != content {
		return false
	}
	if l.full && e.field < pass {
		if e.field < l.floor && pass >= l.floor {
			e.in.live++
			l.live++
		}
		e.field = pass
		l.index[key] = e
	}
	return true
}

// Wrote notes that content was written for key.
func (l *Log) Wrote(key, content xxh3.Uint128, field int64) {
	old, known := l.index[key]
	if !known && (l.bound == 0 || l.full && len(l.index) >= l.bound) {
		// With a stream that is fetched whole each time, the oldest is just what comes next: forgetting it for
		// this one would forget everything in turn.
		return
	}
	if known && old.field >= l.floor {
		old.in.live--
		l.live--
	}
	if l.open == nil {
		l.open = &segment{number: l.next}
		l.next++
	}
	l.open.keys = append(l.open.keys, key)
	l.items = append(l.items, item{key, content, field})
	l.stored++
	l.index[key] = entry{content, field, l.open}
	if field >= l.floor {
		l.open.live++
		l.live++
	}
	if len(l.items) >= l.size {
		l.closeSegment()
	}
}

func (l *Log) closeSegment() {
	if l.open == nil {
		return
	}
	l.closed = append(l.closed, Record{l.open.number, encodeSegment(l.items)})
	l.segments = append(l.segments, l.open)
	l.open, l.items = nil, l.items[:0]
}

// Commit returns what the transaction in hand must write to the state topic.
func (l *Log) Commit() []Record {
	moved := 0
	quota := max(len(l.items), 1000) + l.size*len(l.closed)
	for len(l.segments) > 0 {
		oldest := l.segments[0]
		switch {
		case l.stored > l.keep && oldest.live == 0, len(l.index) > l.bound:
			l.drop()
		case l.stored > 2*l.live+l.keep && moved < quota:
			moved += l.move(oldest)
			l.drop()
		default:
			l.closeSegment()
			out := l.closed
			l.closed = nil
			return out
		}
	}
	l.closeSegment()
	out := l.closed
	l.closed = nil
	return out
}

// Forget forgets everything.
func (l *Log) Forget() {
	l.closeSegment()
	for len(l.segments) > 0 {
		l.drop()
	}
}

// drop forgets the oldest segment.
func (l *Log) drop() {
	oldest := l.segments[0]
	l.segments[0] = nil
	l.segments = l.segments[1:]
	for _, k := range oldest.keys {
		if e, ok := l.index[k]; ok && e.in == oldest {
			delete(l.index, k)
		}
	}
	l.stored -= len(oldest.keys)
	l.live -= oldest.live
	l.closed = append(l.closed, Record{Segment: oldest.number})
}

// move writes the live items of a segment again.
func (l *Log) move(s *segment) (moved int) {
	for _, k := range s.keys {
		if e, ok := l.index[k]; ok && e.in == s && e.field >= l.floor {
			l.Wrote(k, e.content, e.field)
			moved++
		}
	}
	return moved
}

// SetFloor says that items with a lower field will not be fetched again.
func (l *Log) SetFloor(floor int64) {
	if floor == l.floor {
		return
	}
	l.floor, l.live = floor, 0
	for _, s := range l.segments {
		s.live = 0
	}
	if l.open != nil {
		l.open.live = 0
	}
	for _, e := range l.index {
		if e.field >= floor {
			e.in.live++
			l.live++
		}
	}
}

// Restore replays the segments that the state topic has. In a stream that is fetched whole, all of them count as seen
// in pass.
func (l *Log) Restore(segments map[uint64][]byte, pass int64) error {
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
			if l.full {
				i.field = pass
			}
			s.keys = append(s.keys, i.key)
			l.index[i.key] = entry{i.content, i.field, s}
		}
		l.segments = append(l.segments, s)
		l.stored += len(items)
		l.next = n + 1
	}
	floor := l.floor
	l.floor = floor + 1 // count anew
	l.SetFloor(floor)
	return nil
}
