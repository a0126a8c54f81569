package sink

import (
	"errors"

	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics/control"
)

// swapping is a swap under way, as the command drives it.
type swapping struct {
	driver   *Swapper
	from, to *line
	read     bool // too early, where it is done wrongly
	frozen   bool
	reach    [historyPartitions]int64 // what from has applied
	ends     []int                    // of the processed topic of to, once its processors are at reach; nil: they are not
	looks    int
	renamed  bool
}

// beginSwap has a driver begin a swap to any other line that is built.
func (h *history) beginSwap() error {
	from := h.line(h.told)
	var others []*line
	for _, l := range h.lines {
		if l != from && l.built && (h.drop == nil || h.drop.line != l) {
			others = append(others, l)
		}
	}
	if len(others) == 0 {
		return nil
	}
	to := others[h.dice.IntN(len(others))]
	if from.redo != nil || to.redo != nil {
		return nil
	}
	h.at.dirty = true
	x := Swap{Pipeline: "p", Stream: "s", Table: historyTable, From: from.swapLine(), To: to.swapLine()}
	d, err := OpenSwapper(h.at.pipeline, x, "test")
	if err != nil {
		return err
	}
	if err := d.Lock(h.t.Context()); err != nil { // it ends what another driver has left
		d.Close()
		return err
	}
	h.tell()
	if h.told != from.number {
		d.Close()
		return nil
	}
	h.notef("a swap from line %d to line %d", from.number, to.number)
	h.swap = &swapping{driver: d, from: from, to: to}
	return nil
}

func (l *line) swapLine() SwapLine {
	return SwapLine{l.number, l.place.pipeline.Name, l.place.aside}
}

var errHistoryKilled = errors.New("the driver was killed")

// stepSwap does the next thing of a swap. Where it may die, it dies now and then, before or after any statement.
func (h *history) stepSwap(maybe bool) error {
	s := h.swap
	if maybe && h.dice.IntN(3) == 0 {
		left := h.dice.IntN(12)
		kill := func(string) error {
			if left--; left < 0 {
				return errHistoryKilled
			}
			return nil
		}
		s.driver.Before, s.driver.After = kill, kill
	}
	done, err := s.step(h)
	s.driver.Before, s.driver.After = nil, nil
	switch {
	case errors.Is(err, errHistoryKilled):
		h.at.seen["drivers that died"]++
		h.notef("the driver dies")
		s.driver.Abandon()
		s.driver.Close()
		h.swap = nil
		return nil
	case err != nil:
		return h.clearSwap(err)
	case !done:
		return nil
	}
	s.driver.Close()
	h.swap = nil
	h.at.seen["swaps"]++
	if s.to.number < s.from.number {
		h.at.seen["rollbacks"]++
	}
	h.notef("swapped")
	if !maybe || h.dice.IntN(3) > 0 { // else it dies before it can tell
		h.tell()
	}
	return nil
}

// step is one step of the driver.
func (s *swapping) step(h *history) (done bool, err error) {
	ctx := h.t.Context()
	switch {
	case h.wrong == notFrozen && !s.read:
		s.read = true
		return false, s.applied(h)
	case !s.frozen:
		if err := s.driver.Freeze(ctx); err != nil {
			return false, err
		}
		if s.frozen = true; h.wrong == notFrozen {
			return false, nil
		}
		return false, s.applied(h)
	case !s.renamed && !s.passed(h):
		if s.looks++; s.looks > 12 {
			return false, errors.New("it has not come as far in time")
		}
		return false, nil
	case !s.renamed:
		if err := s.rename(h); err != nil {
			return false, err
		}
		s.renamed = true
		return false, nil
	default:
		return true, s.driver.Finish(ctx)
	}
}

// rename is the driver's, but where it is done wrongly.
func (s *swapping) rename(h *history) error {
	var owners []string
	if h.wrong == ownersKept {
		for p, x := range s.to.parts {
			if x.claim != nil {
				owners = append(owners, "UPDATE millrace_offsets SET owner = "+string(h.at.db().dialect.AppendLiteral(nil, rows.Value{Form: rows.Bytes, Bytes: x.claim.token[:]}))+
					" WHERE topic = '"+x.claim.topic+"' AND part = "+string(rune('0'+p)))
			}
		}
	}
	err := s.driver.Rename(h.t.Context())
	h.at.exec(owners...)
	return err
}

// applied reads what the live line has applied.
func (s *swapping) applied(h *history) error {
	at, err := s.from.place.admin(historyTable).Applied(h.t.Context(), "s", &control.Stream{})
	if err != nil {
		return err
	}
	for p := range s.reach {
		s.reach[p] = at[int32(p)]
		if _, known := at[int32(p)]; !known && s.from.parts[p].sunk > 0 {
			s.reach[p] = 1 // of the record at offset 0 alone the database does not say that it was applied
		}
	}
	h.notef("line %d has applied %v", s.from.number, s.reach)
	return nil
}

// passed reports whether the other line has applied all below reach.
func (s *swapping) passed(h *history) bool {
	if s.ends == nil {
		for p, x := range s.to.parts {
			if x.live < s.reach[p] {
				return false
			}
		}
		for _, x := range s.to.parts {
			s.ends = append(s.ends, len(x.processed))
		}
	}
	for p, x := range s.to.parts {
		if x.sunk < s.ends[p] && h.wrong != untilCommitted {
			return false
		}
	}
	return true
}

// clearSwap is what a driver does after an error.
func (h *history) clearSwap(because error) error {
	h.at.seen["swaps taken back"]++
	h.notef("the swap is taken back: %v", because)
	finished, err := h.swap.driver.Clear(h.t.Context())
	h.swap.driver.Close()
	h.swap = nil
	if err != nil {
		return err
	}
	if finished {
		h.tell()
	}
	return nil
}
