package sink

import (
	"maps"

	"github.com/google/go-cmp/cmp"
)

// newestGoodOf are the newest records of the keys of a partition that a logic and the table accept.
func (l *line) newestGoodOf(p int, logic int) map[string]made {
	good := map[string]made{}
	for at, raw := range l.raw[p] {
		m := made{offset: int64(at), raw: raw}
		m.is, m.n = l.becomes(p, m.offset, logic)
		if was, ok := good[raw.key]; m.is != isLetter && m.is != isRefused && (!ok || above(m, was)) {
			good[raw.key] = m
		}
	}
	return good
}

// fresh compares a line with a fresh run of its logic: the table of one that has had one logic and no redo; else what
// the last redo has left, if it was of everything and the logic is still its. A row of a record that only an older
// logic has accepted stays.
func (l *line) fresh() error {
	if l.pure {
		want := map[string]string{}
		for p := range l.parts {
			for key, m := range l.newestGoodOf(p, l.logic) {
				if m.is == isRow {
					want[l.id(key)] = l.row(m)
				}
			}
		}
		if got := l.at.rows(l.table.Name); !maps.Equal(got, want) {
			return l.violation("%s, line %d, is %v, and a fresh run makes %v", l.table.Name, l.number, got, want)
		}
		return nil
	}
	if l.complete < 0 || l.complete != l.logic {
		return nil
	}
	for p := range l.parts {
		for key, want := range l.newestGoodOf(p, l.logic) {
			got, ok := l.newest[key]
			if ok && above(got, want) {
				continue
			}
			if want.is == isOnce {
				want.is = isRemoved
			}
			if !ok && want.is == isRemoved {
				continue
			}
			if got.is != want.is || got.n != want.n {
				return l.violation("line %d: %s is %+v, and a fresh run has %+v", l.number, key, got, want)
			}
		}
	}
	return nil
}

// read is what somebody sees who reads the table now: that of one line, whole; and if it is of another line than
// before, one that has applied all that the line before has shown.
func (h *history) read() error {
	h.touched = false
	is, err := h.at.db().ownedNow(h.t.Context(), h.at.db().db, historyTable)
	if err != nil {
		return err
	}
	var now *line
	for _, l := range h.lines {
		if l.place.pipeline.Name == is.pipeline {
			now = l
		}
	}
	if now == nil {
		return h.violation("%s is of %q", historyTable, is.pipeline)
	}
	if before := h.serves; before != nil && before != now {
		h.notef("line %d serves", now.number)
		for p, x := range before.parts {
			through := now.through(p)
			for _, m := range x.processed[:x.sunk] {
				if m.offset >= through {
					return h.violation("line %d serves, which has applied raw [%d] below %d; line %d has shown %d", now.number, p, through, before.number, m.offset)
				}
			}
		}
	}
	h.serves = now
	return now.compare(historyTable)
}

// through is below which raw offset the line has applied all.
func (l *line) through(p int) int64 {
	x := l.parts[p]
	for _, m := range x.processed[x.sunk:] {
		if !m.again {
			return m.offset
		}
	}
	return x.live
}

// promised compares what a redo has sent with its promise: of each key whose newest record is in the range, the newest
// good one; of others nothing.
func (l *line) promised(r *redoing) error {
	for p, x := range l.parts {
		newest, good := map[string]made{}, map[string]made{}
		for at := range r.cut[p] {
			m := made{offset: at, raw: l.raw[p][at]}
			if was, ok := newest[m.raw.key]; !ok || above(m, was) {
				newest[m.raw.key] = m
			}
			is, _ := l.becomes(p, at, r.logic)
			if was, ok := good[m.raw.key]; is != isLetter && (!ok || above(m, was)) {
				good[m.raw.key] = m
			}
		}
		want, got := map[string][]int64{}, map[string][]int64{}
		for key, m := range newest {
			if g, ok := good[key]; ok && m.offset >= r.from[p] && m.offset < r.to[p] && (r.retried == nil || r.retried[key]) {
				want[key] = append(want[key], g.offset)
			}
		}
		for _, m := range x.processed {
			if m.generation == r.first && m.offset < r.cut[p] {
				got[m.raw.key] = append(got[m.raw.key], m.offset)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			return l.violation("raw offsets that the redo has sent, of line %d, partition %d (-want +got):\n%s", l.number, p, d)
		}
	}
	return nil
}
