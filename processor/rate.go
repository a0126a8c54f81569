package processor

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/stage"
)

// rate is how many raw records a second all sessions of a group process, of all processes. Each takes an equal share: sessions that
// have nothing left to process do not count. It may be used concurrently.
type rate struct {
	limit int // 0: none

	mu    sync.Mutex
	share int // how many sessions there are, at least 1
}

// bound is how many records a transaction has at most: those of a tenth of a second. Behind an open transaction no other record of
// its partitions is seen, so that it is to be short; but what it costs brokers, sinks and database is much the same for 40
// records as for 400, and so is how long it is open.
func (r *rate) bound(maxRecords int) int {
	if r.limit == 0 {
		return maxRecords
	}
	return min(maxRecords, max(1, r.limit/10))
}

// yield is how many times as long as its transaction took a session rests at least. Behind an open transaction no other record of its
// partitions is seen: where servers or cores are busy it takes longer, and without the rest one would follow on the other.
const yield = 2

// pause waits, after a session has processed so many since a time, until these may have taken so long, and has yielded; less if ctx ends.
func (r *rate) pause(ctx context.Context, records int, since time.Time) {
	if r.limit == 0 || records == 0 {
		return
	}
	r.mu.Lock()
	share := max(1, r.share)
	r.mu.Unlock()
	took := time.Since(since)
	due := time.Duration(records) * time.Second * time.Duration(share) / time.Duration(r.limit)
	_ = stage.Sleep(ctx, max(due-took, yield*took))
}

// A redo with a rate scans the log scanFactor times as fast as it processes it, and at least scanLeast records a second, of all
// processes: that produces nothing, and takes only cores and the brokers' time.
const (
	scanFactor = 10
	scanLeast  = 10_000
)

// scanLimit limits how fast a process scans the log. One goroutine may use it at a time.
type scanLimit struct {
	*rate
	sessions int // of this process
	scanned  int // since the last rest
	rested   time.Time
}

// wait is called with each record. It rests, every 10 ms, until the records since the last rest may have taken so long; less if ctx
// ends.
func (l *scanLimit) wait(ctx context.Context) {
	if l.limit == 0 {
		return
	}
	l.mu.Lock()
	processes := max(1, l.share/max(1, l.sessions))
	l.mu.Unlock()
	second := max(1, max(scanLeast, scanFactor*l.limit)/processes)
	if l.scanned++; l.scanned < max(1, second/100) {
		return
	}
	if !l.rested.IsZero() {
		_ = stage.Sleep(ctx, time.Until(l.rested.Add(time.Duration(l.scanned)*time.Second/time.Duration(second))))
	}
	l.scanned, l.rested = 0, time.Now()
}

// countEvery is how often the sessions of all processes are counted, where they share a rate.
const countEvery = 5 * time.Second

// count counts the sessions of a group that share the rate, until ctx ends. left tells which partitions have something left, of those
// that are assigned; nil: all.
func (r *rate) count(ctx context.Context, adm *kadm.Client, group string, left func(context.Context) (func(int32) bool, error)) {
	for r.limit > 0 && ctx.Err() == nil {
		if n, err := sharing(ctx, adm, group, left); err == nil {
			r.mu.Lock()
			r.share = n
			r.mu.Unlock()
		}
		_ = stage.Sleep(ctx, countEvery)
	}
}

// sharing is how many sessions of a group have a partition with something left.
func sharing(ctx context.Context, adm *kadm.Client, group string, left func(context.Context) (func(int32) bool, error)) (n int, err error) {
	has := func(int32) bool { return true }
	if left != nil {
		if has, err = left(ctx); err != nil {
			return 0, err
		}
	}
	groups, err := adm.DescribeGroups(ctx, group)
	if err != nil {
		return 0, err
	}
	for _, m := range groups[group].Members {
		assigned, ok := m.Assigned.AsConsumer()
		if ok && slices.ContainsFunc(assigned.Topics, func(t kmsg.ConsumerMemberAssignmentTopic) bool { return slices.ContainsFunc(t.Partitions, has) }) {
			n++
		}
	}
	return n, nil
}
