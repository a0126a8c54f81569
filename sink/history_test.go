package sink

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics"
)

// A history is what may happen to a stream: records come, are processed and written; the logic changes; redos and
// retries of letters begin at any moment, of any range; lines are built beside the live one, swapped, taken back and
// dropped; whoever does any of this dies; marks age out. The topics are lists, the steps a table of outcomes, and the
// order in which a redo or a swap does things is that of the commands. The index of the redo is package redo, and what
// the sink and the swap do in the database is their own code, on SQLite.
//
// After each batch the table of the line is compared with a plain model: the row of a key is that of the highest
// version among all that was applied. So no row goes back, and none comes back. After each event the table that is read
// is that of one line, whole, and of one that has applied all that the line before had. When a redo has ended, what it
// has sent is compared with what it promises. At the end a line that had one logic is compared with a fresh run of it,
// and so is one whose last redo was of everything.

type outcome int

const (
	isRow outcome = iota
	isRemoved
	isOnce    // refused by a filter that promises to refuse all of the key's
	isLetter  // of a step
	isRefused // by the table
)

// rawRecord is one of the API's.
type rawRecord struct {
	key       string
	source    int64
	tombstone bool
}

// made is a processed record.
type made struct {
	offset     int64 // raw
	raw        rawRecord
	generation uint16
	is         outcome
	n          int
	again      bool // by a redo
}

func (m made) version() topics.Version {
	return topics.NewVersion(m.raw.source, 0, m.offset, m.generation)
}

// above reports whether a record is newer than another of its key.
func above(a, b made) bool {
	x, y := topics.NewVersion(a.raw.source, 0, a.offset, 0), topics.NewVersion(b.raw.source, 0, b.offset, 0)
	return string(x[:]) > string(y[:])
}

const historyPartitions = 2

type history struct {
	t         *testing.T
	at        *workshop
	wrong     variant
	seed      uint64
	dice      *rand.Rand
	versioned bool
	raw       [historyPartitions][]rawRecord
	log       [historyPartitions]rawLog // the same as Kafka has them
	lines     []*line                   // that stages run
	next      uint16                    // number of the next line
	told      uint16                    // the live line, as the control topic says
	logics    int                       // the last one that was given to any line
	swap      *swapping
	drop      *dropping
	serves    *line // whose table was read last
	touched   bool  // tables may have changed since
	notes     []string
}

func newHistory(t *testing.T, at *workshop, seed uint64, wrong variant) *history {
	h := &history{t: t, at: at, wrong: wrong, seed: seed, dice: rand.New(rand.NewPCG(seed, 1)), versioned: at.versioned, next: 2, told: 1}
	at.clean()
	h.addLine(1, 0)
	return h
}

func (h *history) notef(format string, args ...any) {
	h.notes = append(h.notes, fmt.Sprintf(format, args...))
}

// violation is what a history must not have.
type violation struct {
	h    *history
	what string
}

func (v *violation) Error() string {
	return fmt.Sprintf("history %d: %s\n  %s", v.h.seed, v.what, strings.Join(v.h.notes, "\n  "))
}

func (h *history) violation(format string, args ...any) error {
	return &violation{h, fmt.Sprintf(format, args...)}
}

// number is from 0 to 99 for what is named.
func (h *history) number(what ...any) int {
	sum := fnv.New64a()
	_, _ = fmt.Fprint(sum, append([]any{h.seed}, what...)...)
	return int((sum.Sum64() >> 20) % 100)
}

// becomes is what a logic makes of a record.
func (h *history) becomes(p int, offset int64, logic int) (outcome, int) {
	r := h.raw[p][offset]
	if r.tombstone {
		return isRemoved, 0
	}
	if h.number("once", r.key, logic) < 15 {
		return isOnce, 0
	}
	switch n := h.number("outcome", p, offset, logic); {
	case n < 20:
		return isRemoved, 0
	case n < 32:
		return isLetter, 0
	case n < 38:
		return isRefused, 0
	default:
		return isRow, 1 + int(offset)*10 + logic%10
	}
}

// run is a history of so many events, and then of what is needed for all to be written.
func (h *history) run(events int) error {
	for range events {
		if err := h.event(); err != nil {
			return err
		}
		if !h.touched || len(h.lines) == 1 && h.serves != nil {
			continue
		}
		if err := h.read(); err != nil {
			return err
		}
	}
	if err := h.settle(); err != nil {
		return err
	}
	for _, l := range h.lines {
		if err := l.fresh(); err != nil {
			return err
		}
	}
	return h.read()
}

// settle ends what is under way, and writes all.
func (h *history) settle() error {
	if h.drop != nil {
		if err := h.stepDrop(false); err != nil {
			return err
		}
	}
	for range 3 { // a swap, redos, and what both wait for
		for h.swap != nil {
			if err := errors.Join(h.stepSwap(false), h.read()); err != nil { // which may be taken back: that it is not in time
				return err
			}
		}
		if err := h.hear(); err != nil {
			return err
		}
		for _, l := range h.lines {
			if err := l.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

// end ends the redo of a line, and writes all.
func (l *line) end() error {
	for n := 0; l.redo != nil; n++ {
		if n > 1000 {
			return l.violation("the redo of line %d does not end", l.number)
		}
		if err := errors.Join(l.drain(), l.stepRedo(false)); err != nil {
			return err
		}
	}
	return l.drain()
}

func (h *history) event() error {
	l, p := h.lines[h.dice.IntN(len(h.lines))], h.dice.IntN(historyPartitions)
	if h.wrong.swaps() && h.dice.IntN(100) < 15 {
		return h.lineEvent()
	}
	switch n := h.dice.IntN(100); {
	case n < 21:
		h.come(p)
	case n < 38:
		l.process(p, 1+h.dice.IntN(4))
	case n < 60:
		return l.sink(p, 1+h.dice.IntN(5))
	case n < 63:
		l.claim(p)
	case n < 66:
		return h.prune()
	case n < 68:
		h.line(h.told).change()
	case n < 82 && h.wrong.swaps():
		return h.lineEvent()
	default:
		return l.stepRedo(true)
	}
	return nil
}

func (h *history) come(p int) {
	for range 1 + h.dice.IntN(3) {
		r := rawRecord{key: fmt.Sprintf("%c%d", 'a'+h.dice.IntN(4), p), tombstone: h.dice.IntN(6) == 0}
		if h.versioned {
			r.source = int64(h.dice.IntN(12))
		}
		h.notef("raw [%d]@%d: %+v", p, len(h.raw[p]), r)
		k := &kgo.Record{Offset: int64(len(h.raw[p])), Key: []byte(r.key), Value: []byte("{}")}
		if h.versioned {
			k.Headers = topics.RawHeaders{Source: r.source, HasSource: true}.Append(nil)
		}
		h.raw[p], h.log[p] = append(h.raw[p], r), append(h.log[p], k)
	}
}

func (h *history) line(number uint16) *line {
	for _, l := range h.lines {
		if l.number == number {
			return l
		}
	}
	return nil
}
