package lines

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
)

// Pace is how fast a line is filled, beside what arrives in the raw topic meanwhile: raw offsets a second, of all
// processes. What marks a transaction in the raw topic takes an offset too, and counts in both.
type Pace struct {
	Arriving float64
	Rate     float64       // of what is filled; 0: not known yet
	Left     time.Duration // until it has caught up; 0: not known yet
	// Never says that the line does not catch up: at least as much arrives as is filled. It is not known in the first
	// seconds.
	Never bool
}

// Over how much time a pace is taken.
const (
	paceLeast  = 20 * time.Second // before, it is not known whether a line catches up
	paceLately = time.Minute      // rates are of this time
	paceMost   = 10 * time.Minute // in which what arrives at intervals shows as what it is on average
)

// slack is how long what is left must take at least: a line that tails lacks what came a moment ago.
const slack = 10 * time.Second

// pacer makes a pace of what is seen of a line from time to time. Of a line that is filled about as fast as records
// arrive it does not say the one and the other in turn. The zero value has seen nothing. It is for one goroutine.
type pacer struct {
	seen  []sight // ascending; the first is from before the line moved
	never bool
}

// sight is what is seen of a line: raw offsets, of all partitions together.
type sight struct {
	at        time.Time
	next, end int64
}

// look notes at which raw offsets a line goes on, and where the raw topic ends.
func (p *pacer) look(now sight) Pace {
	if len(p.seen) == 1 && p.seen[0].next == now.next {
		p.seen = p.seen[:0] // it does not move yet: stages begin it, or wait
	}
	p.seen = append(p.seen, now)
	for len(p.seen) > 1 && !p.seen[1].at.After(now.at.Add(-paceMost)) {
		p.seen = p.seen[1:]
	}
	arriving, filled := now.since(p.first(paceLately))
	left := float64(now.end - now.next)
	out := Pace{Arriving: arriving, Rate: filled}
	switch allArriving, allFilled := now.since(p.seen[0]); {
	case filled == 0 || now.at.Sub(p.seen[0].at) < paceLeast:
	case left < filled*slack.Seconds() || filled > 1.05*arriving:
		p.never = false
	case filled <= arriving && allFilled <= allArriving:
		p.never = true
	}
	if out.Never = p.never; !p.never && filled > arriving {
		out.Left = time.Duration(min(left/(filled-arriving)*float64(time.Second), math.MaxInt64/2)).Round(time.Second)
	}
	return out
}

// first is the newest sight that is at least that old, or the oldest.
func (p *pacer) first(age time.Duration) sight {
	last := p.seen[len(p.seen)-1].at
	for _, s := range slices.Backward(p.seen) {
		if last.Sub(s.at) >= age {
			return s
		}
	}
	return p.seen[0]
}

// since are the rates between two sights, a second.
func (s sight) since(first sight) (arriving, filled float64) {
	seconds := s.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return 0, 0
	}
	return max(0, float64(s.end-first.end)/seconds), max(0, float64(s.next-first.next)/seconds)
}

// enough is a rate, in records a second, at which a line catches up in good time: half as much again as arrives,
// rounded up.
func enough(arriving float64) int {
	least := max(1, 1.5*arriving)
	digit := math.Pow(10, math.Floor(math.Log10(least)))
	return int(math.Ceil(least/digit) * digit)
}

// advice says that a line does not catch up, and what to do. rate is as in [control.Line]; command is the one that
// builds the line, with these flags.
func (p Pace) advice(rate int, command func(flags ...string) string) string {
	arrive, filled := comma(p.Arriving), comma(p.Rate)
	switch better := enough(p.Arriving); {
	case rate == 0:
		return fmt.Sprintf("does not catch up: %s records/s arrive, and %s/s are processed; share the work with a process on another machine: %s",
			arrive, filled, command())
	case rate >= better:
		return fmt.Sprintf("does not catch up: %s records/s arrive, and %s/s are processed although --rate is %d; without a limit: %s",
			arrive, filled, rate, command("--rate", "0"))
	default:
		return fmt.Sprintf("does not catch up: %s records/s arrive, and --rate %d takes %s/s; give a higher --rate: %s",
			arrive, rate, comma(min(p.Rate, float64(rate))), command("--rate", fmt.Sprint(better)))
	}
}

// sinksAdvice is the same of a pace of the line's sinks.
func (p Pace) sinksAdvice(command func(flags ...string) string) string {
	return fmt.Sprintf("do not catch up: %s processed records/s come, and %s/s are written; share the work with a process on another machine: %s",
		comma(p.Arriving), comma(p.Rate), command())
}

func comma(perSecond float64) string { return humanize.Comma(int64(math.Round(perSecond))) }

// warner knows when to warn of a line that does not catch up: once, and again when the rate that was advised is not
// enough any more. It is for one goroutine.
type warner struct {
	warned  bool
	advised int
}

// warns reports whether to warn of a pace now.
func (w *warner) warns(p Pace) bool {
	if !p.Never {
		w.warned = false
		return false
	}
	if w.warned && p.Arriving < float64(w.advised) {
		return false
	}
	w.warned, w.advised = true, enough(p.Arriving)
	return true
}
