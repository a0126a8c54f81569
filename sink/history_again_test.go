package sink

import "maps"

// emit is one transaction of the redo, its death, or its end.
func (l *line) emit(maybe bool) error {
	r := l.redo
	if maybe && l.dice.IntN(6) == 0 {
		r.marks = nil
		l.notef("the redo of line %d dies", l.number)
		return nil
	}
	if maybe && l.dice.IntN(40) == 0 {
		r.aborted = true
		return l.endRedo()
	}
	for p := range l.parts {
		sent := 0
		for ; r.next[p] < r.cut[p] && sent < 3; r.next[p]++ {
			if l.wanted(p, r.next[p]) {
				l.again(p, r.next[p])
				sent++
			}
		}
		if sent > 0 {
			return nil
		}
	}
	return l.endRedo()
}

// wanted reports whether a record is processed again.
func (l *line) wanted(p int, at int64) bool {
	if r := l.redo; l.wrong == noIndex {
		return at >= r.from[p] && at < r.to[p]
	}
	return l.redo.marks[p].Has(at)
}

// again processes a record again.
func (l *line) again(p int, at int64) {
	r := l.redo
	switch is, n := l.becomes(p, at, r.logic); is {
	case isLetter:
		l.parts[p].letters[at] = true
	case isOnce:
		if l.wrong != nothingForOnce {
			l.send(p, made{at, l.raw[p][at], r.generation, isRemoved, 0, true})
		}
	default:
		l.send(p, made{at, l.raw[p][at], r.generation, is, n, true})
	}
}

// endRedo ends a redo once all that it has sent is written.
func (l *line) endRedo() error {
	r := l.redo
	for _, x := range l.parts {
		if x.sunk < len(x.processed) {
			return nil // later
		}
	}
	if !r.aborted {
		l.closeLetters()
	}
	if l.wrong.rounds() && !r.aborted && l.round() {
		return nil
	}
	if l.wrong != noMarking {
		if err := l.setMarking(false); err != nil || r.marking {
			return err
		}
	}
	l.redo = nil
	l.at.seen["redos ended"]++
	if l.number != l.told {
		l.at.seen["redos ended of a line that is not live any more"]++
	}
	l.notef("the redo of line %d has ended", l.number)
	if r.aborted {
		return nil
	}
	if r.full && r.logic == l.logic && l.wrong.rounds() {
		l.complete = r.logic
	}
	if l.wrong == asItIs || l.wrong == fromRange { // whose rows older versions and marks keep out: only what is sent tells
		return l.promised(r)
	}
	return nil
}

// closeLetters closes the letters of the keys of a retry, but for those of records that it has refused once more.
func (l *line) closeLetters() {
	r := l.redo
	if r.retried == nil || r.refused != nil {
		return
	}
	for p, x := range l.parts {
		maps.DeleteFunc(x.letters, func(at int64, _ bool) bool {
			is, _ := l.becomes(p, at, r.logic)
			return at < r.cut[p] && r.retried[l.raw[p][at].key] && (is != isLetter && is != isRefused || !r.marks[p].Has(at))
		})
	}
}

// round begins another round of a redo, for the keys of which the table has refused records of this one. It reports
// whether there are any.
func (l *line) round() bool {
	r := l.redo
	keys := map[string]bool{}
	if r.refused == nil {
		r.refused = []map[int64]bool{{}, {}}
	}
	for p, x := range l.parts {
		for _, m := range x.processed {
			if m.generation == r.generation && m.is == isRefused {
				keys[m.raw.key], r.refused[p][m.offset] = true, true
			}
		}
	}
	if len(keys) == 0 {
		return false
	}
	l.given++
	l.redone[l.given] = r.logic
	r.generation, r.keys, r.marks, r.next = l.given, keys, nil, make([]int64, len(l.parts))
	l.notef("another round, generation %d, for %v", r.generation, keys)
	return true
}
