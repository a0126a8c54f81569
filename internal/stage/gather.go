package stage

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// ahead is how long before a transaction may begin its records are polled first.
	ahead = 3 * time.Millisecond
	// plenty is how many records are worth a transaction without looking for more.
	plenty = 1000
)

// Gather polls what the next transaction begins with: what there is at a time, which is when it may begin, or what
// comes first after it. It returns before ctx ends only with something, or with what a poll returned instead.
//
// A client has one answer of each broker in hand, and asks for the next once that is polled. Where little comes, the
// answer holds what came first after the poll before, and nothing since. So it is polled a little before the time, and
// what came since is fetched until then: else a record would wait for the transaction after the next.
//
// poll returns at most so many records, and what it has when its context ends.
func Gather(ctx context.Context, at time.Time, limit int, poll func(ctx context.Context, limit int) kgo.Fetches) kgo.Fetches {
	_ = Sleep(ctx, time.Until(at.Add(-ahead)))
	fetches := poll(ctx, limit)
	until, cancel := context.WithDeadline(ctx, at)
	defer cancel()
	for n := fetches.NumRecords(); until.Err() == nil && fetches.Err() == nil && n < min(plenty, limit); n = fetches.NumRecords() {
		fetches = append(fetches, poll(until, limit-n)...)
	}
	_ = Sleep(ctx, time.Until(at))
	return fetches
}
