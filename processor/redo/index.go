package redo

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/zeebo/xxh3"

	"github.com/millrace-io/millrace/topics"
)

// Range says which records of a partition are asked for.
type Range struct {
	Start int64 // of the log
	// From and To bound the newest records of the keys: [From, To). A key whose newest record is elsewhere stays as it is.
	From, To int64
	// Cut is the end of what is looked at. A record from there on is processed live, and is not known here.
	Cut int64
	// Versioned says that records have a version of the source's: the newest record of a key may be at any offset. If
	// it is not set, and records at or above From have one, that is noticed.
	Versioned bool
	Keys      map[string]bool // raw keys; nil: all
	// Refused are offsets of records that the steps accept, and the table does not: they are not good. If it is not
	// nil, letters of the newest records are there already, and only good records are marked.
	Refused map[int64]bool
	MaxKeys int // in memory at a time, 1 or more: about [BytesPerKey] each
}

// BytesPerKey is about what a key takes in memory while the index is built.
const BytesPerKey = 80

// Log reads a partition of a raw topic.
type Log interface {
	// Read calls f for each data record at the offsets [from, to), in order. It may be called again, and f's error ends
	// it.
	Read(ctx context.Context, from, to int64, f func(*kgo.Record) error) error
}

// errSources says that records have versions of the source's, though the stream has no version field any more.
var errSources = errors.New("records have versions")

// Build reads a partition and marks what is to be processed again. good reports whether the steps accept a record, be
// it with rows or without. It reads the range once, more often if there are more keys than MaxKeys, and what is below
// the range only where it matters. The error is the log's, or ctx's.
func Build(ctx context.Context, r Range, log Log, good func(*kgo.Record) bool) (*Marks, error) {
	m, err := build(ctx, r, log, good)
	if errors.Is(err, errSources) {
		r.Versioned = true
		m, err = build(ctx, r, log, good)
	}
	return m, err
}

func build(ctx context.Context, r Range, log Log, good func(*kgo.Record) bool) (*Marks, error) {
	b := &builder{Range: r, good: good, marks: newMarks(r.Start, r.Cut), seed: rand.Uint64()}
	b.base = max(r.From, r.Start)
	if r.Versioned {
		b.base = r.Start
	}
	for b.lo, b.hi = 0, top; ; {
		b.keys = newKeys()
		b.marks.Passes++
		if err := log.Read(ctx, b.base, r.Cut, b.add); err != nil {
			return nil, err
		}
		if b.settle(b.needsOlder); b.keys.len() > 0 {
			if err := log.Read(ctx, r.Start, b.base, b.addOlder); err != nil {
				return nil, err
			}
		}
		b.settle(func(*entry) bool { return false })
		if b.hi == top {
			return b.marks, nil
		}
		b.next()
	}
}

// builder makes passes over the log, each for the keys whose hashes are in [lo, hi).
type builder struct {
	Range
	good  func(*kgo.Record) bool
	marks *Marks
	seed  uint64 // so that nobody can make keys that collide
	base  int64  // where the passes begin

	lo, hi uint64
	keys   *keys
}

const top = 1 << 63 // above all places

// place is where a hash lies, below top.
func place(hash xxh3.Uint128) uint64 { return hash.Hi >> 1 }

// add notes a record.
func (b *builder) add(r *kgo.Record) error {
	if b.Keys != nil && !b.Keys[string(r.Key)] {
		return nil
	}
	version, err := topics.RawVersion(r, 0, 0)
	if err != nil {
		b.misplaced(r)
		return nil //nolint:nilerr // the letter tells
	}
	if version.Source() != 0 && !b.Versioned {
		return errSources
	}
	hash := xxh3.Hash128Seed(r.Key, b.seed)
	if at := place(hash); at < b.lo || at >= b.hi {
		return nil
	}
	e := b.keys.get(hash)
	if e == nil {
		if b.keys.len() >= b.MaxKeys && !b.halve(hash) {
			return nil
		}
		e = b.keys.add(hash)
	}
	at := position{version.Source(), r.Offset}
	if at.above(e.good) && !b.Refused[r.Offset] && b.good(r) {
		e.good = at
	}
	if at.above(e.newest) {
		e.newest = at
	}
	return nil
}

// misplaced marks a record whose version cannot be read: it has no place among its key's revisions, and becomes a
// letter.
func (b *builder) misplaced(r *kgo.Record) {
	if b.Refused == nil && b.marks.Passes == 1 && r.Offset >= b.From && r.Offset < b.To {
		b.marks.set(r.Offset)
		b.marks.Letters++
	}
}

// halve leaves the upper half of the hashes to later passes, until there is room. It reports whether this pass is still
// for a hash.
func (b *builder) halve(hash xxh3.Uint128) bool {
	for b.keys.len() >= b.MaxKeys && b.hi-b.lo > 1 {
		b.hi = b.lo + (b.hi-b.lo)/2
		b.keys.remove(func(h xxh3.Uint128, _ *entry) bool { return place(h) >= b.hi })
	}
	return place(hash) < b.hi
}

// next has the next pass be for twice as many hashes as the one before had in the end: that one may have been so narrow
// because two hashes lie close to each other. If they are too many they are halved.
func (b *builder) next() {
	width := 2 * min(b.hi-b.lo, top/2)
	b.lo = b.hi
	b.hi = min(b.lo+width, top)
}

// needsOlder reports whether the newest record of a key is refused, and its newest good one lies below what was read.
func (b *builder) needsOlder(e *entry) bool { return b.base > b.Start && b.asked(e) && e.good == none }

// settle marks the records of all keys but those to be kept, and forgets these keys.
func (b *builder) settle(keep func(*entry) bool) {
	b.keys.remove(func(_ xxh3.Uint128, e *entry) bool {
		if keep(e) {
			return false
		}
		b.mark(e)
		return true
	})
}

// addOlder looks for good records below the range.
func (b *builder) addOlder(r *kgo.Record) error {
	e := b.keys.get(xxh3.Hash128Seed(r.Key, b.seed))
	if e == nil {
		return nil
	}
	version, err := topics.RawVersion(r, 0, 0)
	if err != nil {
		return nil //nolint:nilerr // it has no place among its key's revisions
	}
	if version.Source() != 0 {
		return errSources
	}
	if !b.Refused[r.Offset] && b.good(r) {
		e.good = position{0, r.Offset}
	}
	return nil
}

// asked reports whether the newest record of a key is in the range.
func (b *builder) asked(e *entry) bool { return e.newest.offset >= b.From && e.newest.offset < b.To }

// mark marks the records of a key.
func (b *builder) mark(e *entry) {
	if !b.asked(e) {
		return
	}
	b.marks.Keys++
	if b.Refused == nil {
		b.marks.set(e.newest.offset)
		if e.newest != e.good {
			b.marks.Letters++
		}
	}
	if e.good != none {
		b.marks.set(e.good.offset)
	}
}
