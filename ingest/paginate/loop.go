package paginate

import (
	"fmt"

	"github.com/zeebo/xxh3"
)

// Loop notices that a pass goes round in circles, or that its last page comes again. Its memory is bounded: after
// maxRemembered cursors it forgets and starts again, so that a longer circle is noticed one round later.
type Loop struct {
	Repeats  bool  // the pipeline file says that the last page comes again past the end
	MaxEmpty int64 // pages without records that are followed in a row; 0: any number

	seen map[uint64]struct{}
	same int // pages in a row that had the records of the one before
}

const maxRemembered = 1 << 16

// LoopError says that a pass goes round in circles.
type LoopError struct {
	Index  int64  // of the page that showed it
	Cursor string // that came a second time; empty: the page had the records of the page before
	More   bool   // the API says that others follow
}

func (e *LoopError) Error() string {
	switch {
	case e.More:
		return "the page has exactly the records of the page before, and the API says that others follow: " +
			"is it a cache that answers, or does the API know no page of that number?"
	case e.Cursor == "":
		return "the page has exactly the records of the page before: does the API know the parameter of paginate? " +
			"If it gives its last page again past the end, set stop: repeat"
	}
	return fmt.Sprintf("the page leads back to %q, which this pass has followed already", e.Cursor)
}

// Check is told of each page of a pass in order: its position, the one after it, why the pass ends with it, and a hash
// of its records, which is zero if it has none; more is [Page.More]. It completes next, and returns why the pass ends,
// which may be another reason.
func (l *Loop) Check(p Position, next *Position, ended Reason, records xxh3.Uint128, more bool) (Reason, error) {
	next.Last = records.Lo ^ records.Hi
	repeated := next.Last != 0 && next.Last == p.Last && p.Index > 0
	l.same++
	if !repeated {
		l.same = 0
	}
	if ended != GoesOn {
		return ended, nil
	}
	if l.MaxEmpty > 0 && next.Empty > l.MaxEmpty {
		return GoesOn, &EndlessError{Pages: next.Empty}
	}
	if next.Cursor == "" {
		return l.addressed(p, repeated, more)
	}
	return l.led(p, next, repeated, records == xxh3.Uint128{})
}

// addressed is about pages with numbers or offsets. A page that comes again is the last one, unless it is the first:
// then the API may not know the parameter at all; or the API says that others follow.
func (l *Loop) addressed(p Position, repeated, more bool) (Reason, error) {
	switch {
	case !repeated:
		return GoesOn, nil
	case more && !l.Repeats:
		return GoesOn, &LoopError{Index: p.Index, More: p.Index > 1}
	case p.Index == 1 && !l.Repeats:
		return GoesOn, &LoopError{Index: p.Index}
	}
	return Repeated, nil
}

// led is about pages that lead to one another. One that names itself as the next is asked for once more: it is the last
// if nothing new comes; some APIs have one cursor for a whole pass.
func (l *Loop) led(p Position, next *Position, repeated, empty bool) (Reason, error) {
	switch {
	case next.Cursor == p.Cursor && p.Index > 1 && (repeated || empty):
		return Repeated, nil
	case next.Cursor == p.Cursor && !repeated && p.Index > 0:
		return GoesOn, nil
	case repeated && (l.same > 1 || p.Index == 1 && next.Cursor == p.Cursor):
		return GoesOn, &LoopError{Index: p.Index}
	}
	if l.seen == nil || len(l.seen) >= maxRemembered {
		l.seen = map[uint64]struct{}{}
	}
	if p.Cursor != "" {
		l.seen[xxh3.HashString(p.Cursor)] = struct{}{}
	}
	if _, ok := l.seen[xxh3.HashString(next.Cursor)]; ok {
		return GoesOn, &LoopError{Index: p.Index, Cursor: next.Cursor}
	}
	return GoesOn, nil
}
