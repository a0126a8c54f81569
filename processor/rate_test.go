package processor

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
)

// TestRate: a session rests after a transaction for as long as its records may take, counted from its begin, and twice
// as long as it took at least; of several sessions each has its share. Without a limit none rests, and transactions are
// as large as ever.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			limit, share, made int
			took, want         time.Duration
		}{
			{0, 3, 1000, 0, 0},
			{500, 0, 100, 0, 200 * time.Millisecond},
			{500, 3, 100, 0, 600 * time.Millisecond},
			{500, 3, 100, 150 * time.Millisecond, 450 * time.Millisecond},
			{500, 3, 100, 250 * time.Millisecond, 500 * time.Millisecond},
			{500, 1, 100, time.Second, 2 * time.Second},
			{500, 1, 0, 0, 0},
		} {
			r := rate{limit: c.limit, share: c.share}
			began := time.Now().Add(-c.took)
			before := time.Now()
			r.pause(t.Context(), c.made, began)
			if is := time.Since(before); is != c.want {
				t.Errorf("%d records in %v at %d a second for %d sessions: rests %v, want %v", c.made, c.took, c.limit, c.share, is, c.want)
			}
		}
	})
	for limit, want := range map[int]int{0: 20_000, 5: 1, 500: 50, 10_000_000: 20_000} {
		if is := (&rate{limit: limit}).bound(20_000); is != want {
			t.Errorf("at %d a second a transaction has %d records, want %d", limit, is, want)
		}
	}
}

// TestScanIsLimited: a redo with a rate scans the log ten times as fast, at 10,000 records a second at least, and
// each of several processes has its share of that. Where the work itself takes longer there is no rest.
func TestScanIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			limit, share, records int
			work, want            time.Duration // of a record; of all
		}{
			{0, 3, 100_000, 0, 0},
			{5000, 0, 100_000, 0, 2 * time.Second},
			{5000, 8, 100_000, 0, 8 * time.Second}, // of four processes
			{10, 2, 20_000, 0, 2 * time.Second},
			{5000, 2, 20_000, time.Millisecond, 20 * time.Second},
		} {
			l := scanLimit{rate: &rate{limit: c.limit, share: c.share}, sessions: 2}
			began := time.Now()
			for range c.records {
				time.Sleep(c.work)
				l.wait(t.Context())
			}
			if is := time.Since(began); is < c.want-c.want/20 || is > c.want {
				t.Errorf("%d records at %d a second, %d sessions: %v, want %v", c.records, c.limit, c.share, is, c.want)
			}
		}
	})
}

// TestSessionsWithNothingLeftDoNotShare: the rate of a redo is shared by sessions that have something left, so that the last
// partitions get all of it.
func TestSessionsWithNothingLeftDoNotShare(t *testing.T) {
	cluster := testkafka.New(t)
	testkafka.Topics(t, cluster, 4, "t")
	adm := kadm.NewClient(testkafka.Client(t, cluster))
	for range 2 {
		member := testkafka.Client(t, cluster, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"))
		go func() {
			for t.Context().Err() == nil {
				member.PollFetches(t.Context())
			}
		}()
	}
	only := func(some ...int32) func(context.Context) (func(int32) bool, error) {
		return func(context.Context) (func(int32) bool, error) {
			return func(partition int32) bool { return slices.Contains(some, partition) }, nil
		}
	}
	for name, c := range map[string]struct {
		left func(context.Context) (func(int32) bool, error)
		want int
	}{
		"all": {nil, 2}, "of one": {only(2), 1}, "of each": {only(0, 1, 2, 3), 2}, "nothing": {only(), 0},
	} {
		testkit.Eventually(t, time.Minute, func() error {
			if n, err := sharing(t.Context(), adm, "g", c.left); err != nil || n != c.want {
				return fmt.Errorf("left %s: %d sessions share, want %d: %w", name, n, c.want, err)
			}
			return nil
		})
	}
}
