package drive

import (
	"fmt"
	"math"
	"time"

	"github.com/dustin/go-humanize"
)

// looks is over how many looks a rate is taken: about half a minute.
const looks = 30

// Meter makes rates of how far something is, as it is looked at from time to time. The zero value has seen nothing. It
// is for one goroutine.
type Meter struct {
	seen []look
}

type look struct {
	at   time.Time
	done int64
}

// Look notes how much of all is done now. It returns how much was done a second over the last looks, and how long the
// rest takes at this rate; 0: not known yet.
func (m *Meter) Look(now time.Time, done, all int64) (rate float64, left time.Duration) {
	m.seen = append(m.seen, look{now, done})
	if len(m.seen) > looks {
		m.seen = m.seen[1:]
	}
	first := m.seen[0]
	if !now.After(first.at) || done <= first.done {
		return 0, 0
	}
	rate = float64(done-first.done) / now.Sub(first.at).Seconds()
	return rate, time.Duration(float64(all-done) / rate * float64(time.Second)).Round(time.Second)
}

// Pace is how fast something gets on. The zero value is not known.
type Pace struct {
	PerSecond float64 `json:"per_second"`
	Left      int64   `json:"seconds_left"` // at this rate; 0: not known
}

// PaceBetween is how fast it got on between two looks, and how long the rest of all takes.
func PaceBetween(first, second time.Time, was, is, all int64) Pace {
	var m Meter
	m.Look(first, was, all)
	rate, left := m.Look(second, is, all)
	return Pace{rate, int64(left.Seconds())}
}

// String is for people; empty if it is not known.
func (p Pace) String() string {
	if p.PerSecond == 0 {
		return ""
	}
	text := humanize.Comma(int64(math.Ceil(p.PerSecond))) + " a second"
	if p.Left > 0 {
		text += fmt.Sprintf(", %s left", time.Duration(p.Left)*time.Second)
	}
	return text
}
