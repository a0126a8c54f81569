package written

import (
	"cmp"
	"math"
	"slices"
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
// What is below the horizon is fetched again by this pass at most, so it is held in memory only until the pass ends:
// then it is stored if it may be fetched again after all, and forgotten if not. A key that the stored log knows is
// always stored. So a back-fill costs the state topic next to nothing. What a crash forgets of it is written again only
// if its pass begins again.
//
// It must not be used concurrently.
//
// The log is kept below twice the live items and keep, which is the price of cheap cleaning: each commit
// writes at most about as many old items again as it writes new ones.
type Log struct {
	index    map[uint64]entry
	segments []*segment // oldest first
	open     *segment   // of the transaction in hand; nil: none
	items    []item     // of open
	closed   []Record
	next     uint64     // number of the next segment
	stored   int        // items in segments and open, superseded ones included
	live     int        // items that the look-back may ask for
	floor    int64      // items with a lower field are not live
	bound    int        // of the index
	keep     int        // so many newest items are kept, live or not
	size     int        // most items of a segment
	horizon  int64      // items with a lower field are held
	linger   int64      // from there on they are held on when a pass ends
	held     []*segment // oldest first; not in the state topic
	full     bool       // the stream has no incremental field: field is the number of the last pass that saw the record
}

type entry struct {
	content uint64
	field   int64
	in      *segment
}

type segment struct {
	number uint64
	keys   []uint64
	live   int
	held   bool // in memory only
}

// Record is a segment to write to the state topic, or to remove if Value is nil.
type Record struct {
	Segment uint64
	Value   []byte
}

const (
	segmentItems = 4000 // 80 kB
	keepItems    = 20_000
)

// Always is the field of a record that has none: it is live for ever.
const Always = math.MaxInt64

// New remembers up to bound keys. A segment fits a record of maxRecordBytes. With full, the stream has no incremental
// field, and a record's field is the number of the pass.
func New(bound int, full bool, maxRecordBytes int32) *Log {
	const overhead = 1000 // of a record: key and format, generously
	return &Log{
		index: map[uint64]entry{}, bound: bound, keep: min(bound, keepItems), full: full, floor: math.MinInt64, horizon: math.MinInt64, linger: Always,
		size: max(1, min(segmentItems, (int(maxRecordBytes)-overhead)/itemBytes)),
	}
}

// Unchanged reports whether content is what was written last for key.
func (l *Log) Unchanged(key, content uint64, pass int64) bool {
	e, ok := l.index[key]
	if !ok || e.content != content {
		return false
	}
	if l.full && e.field < pass {
		if e.field < l.floor && pass >= l.floor {
			l.count(e.in, 1)
		}
		e.field = pass
		l.index[key] = e
	}
	return true
}

// Wrote notes that content was written for key.
func (l *Log) Wrote(key, content uint64, field int64) {
	old, known := l.index[key]
	if !known && (l.bound == 0 || l.full && len(l.index) >= l.bound) {
		// With a stream that is fetched whole each time, the oldest is just what comes next: forgetting it for
		// this one would forget everything in turn.
		return
	}
	if known && old.field >= l.floor {
		l.count(old.in, -1)
	}
	if field < l.horizon && (!known || old.in.held) {
		l.hold(key, content, field)
		return
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
		l.count(l.open, 1)
	}
	if len(l.items) >= l.size {
		l.closeSegment()
	}
}

// deletedContent is the content of a tombstone.
const deletedContent = 0x6a09e667f3bcc908

// Deleted notes that what was written last for key is a tombstone, so that no record counts as unchanged.
func (l *Log) Deleted(key uint64) {
	if e, ok := l.index[key]; ok {
		l.Wrote(key, deletedContent, e.field)
	}
}

// count counts a live item of a segment; live items of the log are those that are stored.
func (l *Log) count(s *segment, n int) {
	s.live += n
	if !s.held {
		l.live += n
	}
}

// hold remembers a record in memory only.
func (l *Log) hold(key, content uint64, field int64) {
	if n := len(l.held); n == 0 || len(l.held[n-1].keys) >= l.size {
		l.held = append(l.held, &segment{held: true})
	}
	in := l.held[len(l.held)-1]
	in.keys = append(in.keys, key)
	l.index[key] = entry{content, field, in}
	if field >= l.floor {
		l.count(in, 1)
	}
	if len(l.index) > l.bound {
		l.release(func(entry) bool { return false })
	}
}

// release forgets the oldest held segment, but stores the items that keep asks for.
func (l *Log) release(keep func(entry) bool) {
	oldest := l.held[0]
	l.held[0] = nil
	l.held = l.held[1:]
	for _, k := range oldest.keys {
		e, ok := l.index[k]
		if !ok || e.in != oldest {
			continue
		}
		delete(l.index, k)
		if keep(e) {
			l.Wrote(k, e.content, e.field)
		}
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
		case len(l.index) > l.bound && len(l.held) > 0:
			l.release(func(entry) bool { return false })
		case l.stored > l.keep && oldest.live == 0, len(l.index) > l.bound, len(oldest.keys) == 0:
			l.drop()
		case l.stored > 2*l.live+l.keep && moved < quota:
			moved += l.move(oldest)
			l.drop()
		default:
			return l.flush()
		}
	}
	return l.flush()
}

// flush returns what is to be written, and keeps no buffer: there may be thousands of logs.
func (l *Log) flush() []Record {
	l.closeSegment()
	out := l.closed
	l.closed, l.items = nil, nil
	return out
}

// Forget forgets everything.
func (l *Log) Forget() {
	l.closeSegment()
	for len(l.segments) > 0 {
		l.drop()
	}
	for len(l.held) > 0 {
		l.release(func(entry) bool { return false })
	}
}

// Oldest is the number of the oldest segment that counts. It belongs into the cursor: the state topic may show a
// segment again that was removed long ago, when the record of its removal is gone.
func (l *Log) Oldest() uint64 {
	switch {
	case len(l.segments) > 0:
		return l.segments[0].number
	case l.open != nil:
		return l.open.number
	}
	return l.next
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

// SetHorizon says that records with a lower field will not be fetched again after this pass.
func (l *Log) SetHorizon(horizon int64) {
	if !l.full {
		l.horizon = horizon
	}
}

// Linger has items from a field on held when passes end, as something else than passes fetches them still; [Always]:
// none.
func (l *Log) Linger(from int64) { l.linger = from }

// SetFloor says that items with a lower field will not be fetched again: a pass has ended. What was held is stored, or
// forgotten, or held on.
func (l *Log) SetFloor(floor int64) {
	l.setFloor(floor)
	l.horizon = math.MinInt64
	held := l.held
	l.held = nil
	for _, s := range held {
		for _, k := range s.keys {
			e, ok := l.index[k]
			switch {
			case !ok || e.in != s:
			case e.field >= floor:
				delete(l.index, k)
				l.Wrote(k, e.content, e.field)
			case e.field >= l.linger:
				delete(l.index, k)
				l.hold(k, e.content, e.field)
			default:
				delete(l.index, k)
			}
		}
	}
}

func (l *Log) setFloor(floor int64) {
	if floor == l.floor {
		return
	}
	l.floor, l.live = floor, 0
	for _, all := range [][]*segment{l.segments, l.held} {
		for _, s := range all {
			s.live = 0
		}
	}
	if l.open != nil {
		l.open.live = 0
	}
	for _, e := range l.index {
		if e.field >= floor {
			l.count(e.in, 1)
		}
	}
}

// Restore replays the segments that the state topic has, from the number oldest on; those before are removed again. In
// a stream that is fetched whole, all of them count as seen in pass.
func (l *Log) Restore(segments map[uint64][]byte, oldest uint64, pass int64) error {
	numbers := make([]uint64, 0, len(segments))
	for n := range segments {
		numbers = append(numbers, n)
	}
	slices.SortFunc(numbers, cmp.Compare)
	l.next = oldest
	for _, n := range numbers {
		if n < oldest {
			l.closed = append(l.closed, Record{Segment: n})
			continue
		}
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
	l.floor = floor + 1 // count again
	l.setFloor(floor)
	return nil
}
