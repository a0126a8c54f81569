package sink

import (
	"errors"
	"slices"
)

// dropping is a line that is being dropped.
type dropping struct{ line *line }

// beginDrop decides that a line is dropped that is not live.
func (h *history) beginDrop() {
	for _, l := range h.lines {
		if l.number != h.told && l.redo == nil && h.dice.IntN(10) == 0 {
			h.notef("line %d is to be dropped", l.number)
			h.drop = &dropping{l}
			return
		}
	}
}

// stepDrop drops a line, or dies, to begin again later.
func (h *history) stepDrop(maybe bool) error {
	l := h.drop.line
	if h.swap != nil && h.swap.to == l || h.told == l.number || l.redo != nil {
		h.drop = nil
		return nil
	}
	if h.swap != nil {
		return nil // the command waits
	}
	x := Swap{Pipeline: "p", Stream: "s", Table: historyTable, From: h.line(h.told).swapLine(), To: l.swapLine()}
	d, err := OpenSwapper(h.at.pipeline, x, "test")
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Lock(h.t.Context()); err != nil {
		return err
	}
	if h.tell(); h.told == l.number {
		h.drop = nil
		return nil
	}
	left := h.dice.IntN(20)
	if maybe {
		d.Before = func(string) error {
			if left--; left < 0 {
				return errHistoryKilled
			}
			return nil
		}
	}
	// its stages have ended
	h.lines = slices.DeleteFunc(slices.Clone(h.lines), func(other *line) bool { return other == l })
	err = d.Disown(h.t.Context())
	if err == nil {
		err = d.Drop(h.t.Context())
	}
	if errors.Is(err, errHistoryKilled) {
		h.notef("it dies while it drops line %d", l.number)
		return nil
	}
	if err != nil {
		return err
	}
	h.at.seen["lines dropped"]++
	h.notef("line %d is dropped", l.number)
	h.drop = nil
	return nil
}

// prune has the marks be as old as marks get, if all lines have caught up. In a stream with versions an older revision
// may still come after that; then it has a row again, which is known and documented.
func (h *history) prune() error {
	if h.versioned {
		return nil
	}
	for _, l := range h.lines {
		if h.dice.IntN(2) == 0 {
			if err := l.drain(); err != nil {
				return err
			}
		}
		if !l.caughtUp() {
			return nil
		}
	}
	l := h.lines[h.dice.IntN(len(h.lines))]
	h.at.exec("UPDATE millrace_marks SET marked_at = '2000-01-01 00:00:00'")
	for _, l := range h.lines {
		h.at.exec("INSERT OR IGNORE INTO millrace_caught_up (topic, hour) SELECT '" + l.place.topic + "', hour FROM millrace_caught_up WHERE topic = 'hours'")
	}
	h.notef("marks age out")
	if h.wrong == pruned {
		h.at.exec("UPDATE millrace_owners SET marking = -marking")
		defer h.at.exec("UPDATE millrace_owners SET marking = -marking")
	}
	_, err := l.place.store.prune(h.t.Context(), l.place.topic, l.table)
	return err
}
