package sink

import (
	"github.com/millrace-io/millrace/sink/dialect"
)

// lineEvent is one of the lines.
func (h *history) lineEvent() error {
	h.touched = true
	n := h.dice.IntN(10)
	switch building := h.building(); {
	case h.drop != nil && n < 5:
		return h.stepDrop(true)
	case h.swap != nil && n == 0:
		for p := range historyPartitions {
			h.swap.to.process(p, 3)
		}
	case h.swap != nil && n < 3:
		return h.swap.to.drain()
	case h.swap != nil && n < 9:
		return h.stepSwap(true)
	case n < 2:
		return h.hear()
	case building != nil && n < 7:
		return building.drain()
	case building != nil && n < 9:
		h.look(building)
	case n == 9 && h.swap == nil && h.drop == nil:
		h.beginDrop()
	case len(h.lines) == 1 || n == 2:
		return h.build()
	case h.swap == nil:
		return h.beginSwap()
	}
	return nil
}

// building is the line that is being built, or nil.
func (h *history) building() *line {
	for _, l := range h.lines {
		if !l.built {
			return l
		}
	}
	return nil
}

// caughtUp reports whether all that is in the raw topic is in the line's table.
func (l *line) caughtUp() bool {
	for p, x := range l.parts {
		if x.live < int64(len(l.raw[p])) || x.sunk < len(x.processed) {
			return false
		}
	}
	return true
}

// look looks whether a line is built.
func (h *history) look(l *line) {
	if !l.caughtUp() {
		return
	}
	l.built = true
	h.at.seen["lines built"]++
	h.notef("line %d is built", l.number)
}

// build begins a line.
func (h *history) build() error {
	if h.building() != nil || h.drop != nil {
		return nil
	}
	if h.next > historyLines || h.told == 1 && h.line(1).redo != nil {
		return nil
	}
	x := h.at.of(h.next)
	h.at.dirty = true
	by := h.at.stream(h.told)
	if err := x.admin(x.aside).MakeLine(h.t.Context(), "s", historyTable, by); err != nil {
		return err
	}
	h.logics++
	h.notef("line %d is begun, logic %d", h.next, h.logics)
	h.addLine(h.next, h.logics)
	h.next++
	return nil
}

// mayRedo reports whether a redo of the live line is not refused.
func (l *line) mayRedo() bool {
	return l.number > 1 || l.building() == nil
}

// tell has the control topic say which line is live.
func (h *history) tell() {
	is, err := h.at.db().ownedNow(h.t.Context(), h.at.db().db, historyTable)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, l := range h.lines {
		if l.place.pipeline.Name == is.pipeline && l.number != h.told {
			h.told = l.number
			h.notef("told: line %d is live", l.number)
		}
	}
}

// hear is what sinks do from time to time: they end a swap whose driver has died, tell which line is live, and hear it.
func (h *history) hear() error {
	if h.swap == nil {
		if err := h.endSwaps(); err != nil {
			return err
		}
		h.tell()
	}
	for _, l := range h.lines {
		name := l.place.aside
		if l.number == h.told {
			name = historyTable
		}
		if l.table.Name == name {
			continue
		}
		h.notef("line %d hears that its table is %s", l.number, name)
		if err := l.hearName(); err != nil {
			return err
		}
	}
	return nil
}

func (h *history) endSwaps() error {
	for _, l := range h.lines {
		if err := l.place.store.endSwaps(h.t.Context(), l.place.store.dialect.(dialect.Swapper)); err != nil {
			return err
		}
	}
	return nil
}
