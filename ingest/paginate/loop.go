package paginate

import (
	"fmt"

	"github.com/zeebo/xxh3"
)

// Loop notices that a pass goes round in circles. Its memory is bounded: after maxRemembered cursors it forgets and
// starts again, so that a longer circle is noticed one round later.
type Loop struct {
	seen map[uint64]struct{}
	last xxh3.Uint128
}

const maxRemembered = 1 << 16

// LoopError says that a pass goes round in circles.
type LoopError struct {
	Index  int64  // of the page that showed it
	Cursor string // that came a second time; empty: the page had the records of the page before
}

func (e *LoopError) Error() string {
	if e.Cursor == "" {
		return fmt.Sprintf("page %d of the pass has exactly the records of the page before: "+
			"does the API know the parameter of paginate?", e.Index)
	}
	return fmt.Sprintf("page %d of the pass leads back to %q, which this pass has followed already", e.Index, e.Cursor)
}

// Check is told of each page of a pass in order: its position, the one after it, and a hash of its records, which is
// zero if it has none.
func (l *Loop) Check(p, next Position, records xxh3.Uint128) error {
	if l.seen == nil || len(l.seen) >= maxRemembered {
		l.seen = map[uint64]struct{}{}
	}
	if p.Cursor != "" {
		l.seen[xxh3.HashString(p.Cursor)] = struct{}{}
	}
	if next.Cursor != "" {
		if _, ok := l.seen[xxh3.HashString(next.Cursor)]; ok {
			return &LoopError{Index: p.Index, Cursor: next.Cursor}
		}
	}
	if next.Cursor == "" && records != (xxh3.Uint128{}) && records == l.last {
		return &LoopError{Index: p.Index}
	}
	l.last = records
	return nil
}
