package sink

import (
	"context"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/processor/redo"
)

// redoing is a redo under way.
type redoing struct {
	admin      *Admin
	generation uint16           // of the round
	first      uint16           // of the first round
	retried    map[string]bool  // keys of the letters that a retry is of; nil: all keys
	keys       map[string]bool  // of the round; nil: all
	refused    []map[int64]bool // by partition: offsets that the table has refused; nil in the first round
	logic      int
	before     int  // the logic before
	changed    bool // the logic is new: processors of the old one are to be fenced
	marking    bool
	fenced     bool
	cut        []int64 // nil: not read yet
	from, to   []int64
	next       []int64
	marks      []*redo.Marks // nil: to be found, at first and after each death
	last       uint16        // generation before
	full       bool
	aborted    bool
}

// stepRedo does the next thing of a redo: it begins, or goes on, or dies and is begun again where it was.
func (l *line) stepRedo(begin bool) error {
	r := l.redo
	switch {
	case r == nil:
		// One begins on the live line, and not while another line is built from it.
		if begin && l.number == l.told && l.mayRedo() && l.dice.IntN(3) == 0 {
			l.beginRedo()
		}
	case !r.marking && (l.wrong != cutFirst || r.cut != nil):
		if l.wrong == noMarking {
			r.marking = true
			return nil
		}
		return l.setMarking(true)
	case r.cut == nil && r.changed && !r.fenced && l.wrong != cutBefore:
		r.fenced = true
		l.notef("processors of before are fenced")
	case r.cut == nil:
		l.cut()
	case r.changed && !r.fenced:
		r.fenced = true
	case r.marks == nil:
		return l.index()
	default:
		return l.emit(begin)
	}
	return nil
}

func (l *line) beginRedo() {
	name := historyTable
	r := &redoing{admin: l.place.admin(name), logic: l.logic, before: l.logic, last: l.live, changed: l.dice.IntN(2) == 0, retried: l.openLetters()}
	r.keys = r.retried
	if r.retried != nil {
		l.at.seen["retries"]++
	}
	if l.swap != nil {
		l.at.seen["redos begun during a swap"]++
	}
	if l.pure = false; r.changed {
		l.given++
		l.newLogic()
		r.logic, l.live = l.logic, l.given
	}
	l.given++
	l.redone[l.given] = r.logic
	r.generation, r.first = l.given, l.given // of its own: what is processed live below the cut has another
	l.redo = r
	l.notef("a redo of line %d begins: %+v", l.number, *r)
}

// setMarking has removals leave marks, or not any more. While tables are being renamed it waits.
func (l *line) setMarking(on bool) error {
	r := l.redo
	if err := l.at.db().renaming(l.t.Context(), l.at.db().db, historyTable); err != nil {
		return nil //nolint:nilerr // tables are being renamed: the redo takes this step at its next turn
	}
	r.marking = on
	l.notef("removals of line %d are marked: %t", l.number, on)
	return r.admin.SetMarking(l.t.Context(), "s", r.first, on)
}

// openLetters are keys of letters, if the redo is to be a retry: some of those that are open.
func (l *line) openLetters() map[string]bool {
	if l.dice.IntN(2) == 0 {
		return nil
	}
	keys := map[string]bool{}
	for p, x := range l.parts {
		for _, at := range slices.Sorted(maps.Keys(x.letters)) {
			if l.dice.IntN(2) == 0 {
				keys[l.raw[p][at].key] = true
			}
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return keys
}

// since is from where on a retry looks for the newest records of the keys of its letters in a partition.
func (l *line) since(p int, keys map[string]bool) int64 {
	from := l.parts[p].live
	for at := range l.parts[p].letters {
		if keys[l.raw[p][at].key] {
			from = min(from, at)
		}
	}
	if l.versioned {
		return 0 // it may be anywhere
	}
	return from
}

// cut reads how far processors are, and what range is asked for.
func (l *line) cut() {
	r := l.redo
	r.full = l.dice.IntN(2) == 0 && r.retried == nil
	for p, x := range l.parts {
		from, to := int64(0), x.live
		switch {
		case r.retried != nil:
			from = l.since(p, r.retried)
		case !r.full:
			from = l.dice.Int64N(x.live + 1)
			to = from + l.dice.Int64N(x.live-from+1)
		}
		r.cut, r.from, r.to, r.next = append(r.cut, x.live), append(r.from, from), append(r.to, to), append(r.next, 0)
	}
	l.notef("the cut of line %d is %v, the range %v to %v", l.number, r.cut, r.from, r.to)
}

func (l *line) rangeOf(p int) redo.Range {
	r := l.redo
	out := redo.Range{From: r.from[p], To: r.to[p], Cut: r.cut[p], Versioned: l.versioned, MaxKeys: 1 + l.dice.IntN(5), Keys: r.keys}
	if r.refused != nil {
		out.Refused = r.refused[p]
	}
	return out
}

func (l *line) index() error {
	r := l.redo
	for p := range l.parts {
		what := l.rangeOf(p)
		if l.wrong == indexOfRange {
			what.Cut = what.To
		}
		if l.wrong == fromRange {
			what.Start = what.From
		}
		good := func(rec *kgo.Record) bool {
			is, _ := l.becomes(p, rec.Offset, r.logic)
			return is != isLetter
		}
		marks, err := redo.Build(l.t.Context(), what, l.log[p], good)
		if err != nil {
			return err
		}
		r.marks = append(r.marks, marks)
	}
	l.notef("looked through")
	return nil
}

// rawLog is a partition as package redo reads it.
type rawLog []*kgo.Record

// Read is what package redo asks for.
func (l rawLog) Read(_ context.Context, from, to int64, f func(*kgo.Record) error) error {
	for _, r := range l[from:to] {
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}

// change deploys another logic, without a redo.
func (l *line) change() {
	if l.redo == nil || l.redo.fenced || !l.redo.changed && l.redo.cut != nil {
		l.given++
		l.newLogic()
		l.live = l.given
		l.notef("line %d: logic %d is live, generation %d", l.number, l.logic, l.live)
	}
}

// newLogic gives the line a logic that none has had.
func (l *line) newLogic() {
	l.logics++
	l.logic, l.complete, l.pure = l.logics, -1, false
}
