package stage_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
)

// trickle is a client of a topic that gets a record in every so often: it has one answer in hand, and asks for the next
// when that is polled.
type trickle struct {
	every      time.Duration
	start      time.Time
	asked      time.Time
	had, polls int
}

const roundTrip = time.Millisecond

func (c *trickle) came(at time.Time) int { return int(at.Sub(c.start) / c.every) }

func (c *trickle) poll(ctx context.Context, limit int) kgo.Fetches {
	c.polls++
	answered := c.asked.Add(roundTrip)
	for c.came(answered) == c.had {
		answered = answered.Add(c.every)
	}
	if stage.Sleep(ctx, time.Until(answered)) != nil {
		return kgo.NewErrFetch(ctx.Err())
	}
	n := min(limit, c.came(answered)-c.had)
	c.had, c.asked = c.had+n, time.Now()
	return kgo.Fetches{{Topics: []kgo.FetchTopic{{Partitions: []kgo.FetchPartition{{Records: make([]*kgo.Record, n)}}}}}}
}

func TestGather(t *testing.T) {
	for name, c := range map[string]struct {
		every       time.Duration
		until       time.Duration
		limit       int
		least, most int // records
		polls       int // at most
	}{
		"what came until it may begin":      {time.Millisecond, 20 * time.Millisecond, 1000, 18, 20, 5},
		"no more than the limit":            {time.Millisecond, 20 * time.Millisecond, 7, 7, 7, 5},
		"plenty is enough":                  {time.Microsecond, 20 * time.Millisecond, 100_000, 1000, 20_000, 2},
		"the first one, if none is there":   {time.Minute, 20 * time.Millisecond, 1000, 1, 1, 1},
		"what there is, if it may at once":  {time.Millisecond, 0, 1000, 1, 1, 1},
		"as much as comes in a millisecond": {100 * time.Microsecond, 20 * time.Millisecond, 1000, 180, 200, 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := &trickle{every: c.every, start: time.Now(), asked: time.Now()}
				fetches := stage.Gather(t.Context(), time.Now().Add(c.until), c.limit, client.poll)
				if n := fetches.NumRecords(); n < c.least || n > c.most || client.polls > c.polls {
					t.Errorf("%d records by %d polls, want %d to %d by at most %d", n, client.polls, c.least, c.most, c.polls)
				}
				if took := time.Since(client.start); took < c.until || took > c.until+c.every+roundTrip {
					t.Errorf("it took %s, want %s, or until the first record", took, c.until)
				}
			})
		})
	}
}

// TestGatherEnds: a context that ends, ends it, with what was polled.
func TestGatherEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		client := &trickle{every: time.Minute, start: time.Now(), asked: time.Now()}
		fetches := stage.Gather(ctx, time.Now().Add(time.Second), 1000, client.poll)
		if fetches.NumRecords() != 0 || ctx.Err() == nil || time.Since(client.start) > 5*time.Millisecond {
			t.Errorf("%d records after %s", fetches.NumRecords(), time.Since(client.start))
		}
	})
}
