package stage_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
)

// commits runs a stage at a rate, in records in a millisecond, for ten seconds. It returns how many transactions that
// were, and how long a record waited for the end of its transaction at most.
func commits(rate float64, partitions int) (n int, wait time.Duration) {
	pace := stage.Pace{Interval: 100 * time.Millisecond}
	start := time.Now()
	due := 0.0
	take := func() int { // what has come until now
		had := due
		due = float64(time.Since(start).Milliseconds()) * rate
		return int(due) - int(had)
	}
	for time.Since(start) < 10*time.Second {
		records := take()
		if records == 0 {
			time.Sleep(time.Millisecond)
			continue
		}
		pace.Begin()
		began := time.Now()
		for left := pace.Left(records, partitions); left > 0; left = pace.Left(records, partitions) {
			time.Sleep(min(left, time.Millisecond))
			records += take()
		}
		pace.End()
		n, wait = n+1, max(wait, time.Since(began))
	}
	return n, wait
}

func TestPace(t *testing.T) {
	for name, c := range map[string]struct {
		rate        float64
		partitions  int
		least, most int // transactions
		wait        time.Duration
	}{
		"nothing":                   {0, 6, 0, 0, 0},
		"a record now and then":     {0.01, 6, 99, 101, 0},
		"a thousand in a second":    {1, 6, 900, 1001, 10 * time.Millisecond},
		"full load":                 {100, 6, 95, 105, 100 * time.Millisecond},
		"few over many partitions":  {1, 100, 380, 401, 25 * time.Millisecond},
		"few over more than enough": {1, 5000, 95, 105, 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, wait := commits(c.rate, c.partitions)
				if n < c.least || n > c.most || wait > c.wait {
					t.Errorf("%d transactions, and a record waited %s; want %d to %d, and at most %s", n, wait, c.least, c.most, c.wait)
				}
			})
		})
	}
}
