package sink

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestFewAreTogether: few records are all the first writer's, many are each writer's own; neither changes while a writer has
// something in hand, and few not at once.
func TestFewAreTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Sink{allWritten: make(chan struct{}, 1)}
		poll := func(records int, value string, want bool) {
			t.Helper()
			all := [][]polled{{{records: make([]*kgo.Record, records/2)}}, {{records: make([]*kgo.Record, records-records/2)}}}
			for _, list := range all {
				for i := range list[0].records {
					list[0].records[i] = &kgo.Record{Value: []byte(value)}
				}
			}
			if is := s.together(all); is != want {
				t.Errorf("%d records of %d bytes: together %v, want %v", records, len(value), is, want)
			}
		}
		poll(3, "v", true)
		poll(fewRecords, "v", true)
		s.inHand.Add(1)
		poll(fewRecords+1, "v", false)
		began := time.Now()
		go func() {
			time.Sleep(400 * time.Millisecond)
			s.inHand.Add(-1)
			s.allWritten <- struct{}{}
		}()
		if err := s.awaitWriters(t.Context()); err != nil || time.Since(began) != 400*time.Millisecond {
			t.Errorf("many records waited for the writer for %v: %v", time.Since(began), err)
		}
		poll(3, "v", false)
		time.Sleep(calm + 1)
		s.inHand.Add(1)
		poll(3, "v", false)
		s.inHand.Add(-1)
		poll(3, "v", true)
		poll(2, string(make([]byte, fewBytes)), false)
		if err := s.awaitWriters(t.Context()); err != nil || time.Since(began) > 2*time.Second {
			t.Errorf("many records waited for nobody until %v: %v", time.Since(began), err)
		}
	})
}

// TestGapBetweenPolls: none after nothing, that of the partitions after something, and at least the one asked for after few
// records.
func TestGapBetweenPolls(t *testing.T) {
	queue := func(records, partitions int) [][]*job {
		return [][]*job{nil, {{records: records, polled: make([]polled, partitions)}}}
	}
	for _, c := range []struct {
		queues    [][]*job
		gap, want time.Duration
	}{
		{[][]*job{nil, nil}, 300 * time.Millisecond, 0},
		{queue(1, 6), 0, 10 * time.Millisecond},
		{queue(1, 200), 0, 50 * time.Millisecond},
		{queue(1, 5000), 0, maxGap},
		{queue(1, 6), 300 * time.Millisecond, 300 * time.Millisecond},
		{queue(fewRecords+1, 6), 300 * time.Millisecond, 10 * time.Millisecond},
	} {
		s := &Sink{cfg: Config{Gap: c.gap}}
		if is := s.gap(c.queues); is != c.want {
			t.Errorf("%d jobs, gap %v: %v, want %v", len(c.queues[1]), c.gap, is, c.want)
		}
	}
}
