package stage

import (
	"math"
	"time"
)

// worthAgain is the growth that makes another line worth reading.
const worthAgain = 10

// refusalCount is how many records were refused for one kind of reason, and how many of them usually come in a minute.
type refusalCount struct {
	count  int
	next   int // the count from which it is worth another line
	logged time.Time

	began  time.Time // the minute under way
	lately int       // in it
	told   bool      // a line was logged in it
	usual  float64   // in a minute, of the last hour or so, or at the last line if that is more
}

// add notes n refused records and reports whether they are worth a line. Few records at long intervals are not, however
// long the interval was.
func (c *refusalCount) add(n int, now time.Time) bool {
	if now.Sub(c.began) >= time.Minute {
		c.endMinute(now)
	}
	c.count += n
	c.lately += n
	more := c.lately >= worthAgain && float64(c.lately) >= worthAgain*c.usual
	if now.Sub(c.logged) < quiet || c.count < c.next && !more {
		return false
	}
	c.next, c.logged, c.told = c.count*worthAgain, now, true
	return true
}

// endMinute makes the usual of the minute under way, and begins another. What was told of is usual from then on.
func (c *refusalCount) endMinute(now time.Time) {
	if c.told {
		c.usual = max(c.usual, float64(c.lately))
	} else {
		c.usual += float64(c.lately) / time.Hour.Minutes()
	}
	c.usual *= math.Exp(-now.Sub(c.began).Hours())
	c.began, c.lately, c.told = now, 0, false
}
