package ingest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/millrace-io/millrace/pipeline"
)

// kids is what a process knows of the children of a stream, over all its feeds: how many there are, and which could not
// be fetched. It may be used concurrently.
type kids struct {
	in      *Ingest
	stream  *pipeline.Stream
	slots   *semaphore.Weighted // for children that are being fetched
	metrics kidsMetrics
	known   atomic.Int64

	mu           sync.Mutex
	due, failing int
	streak       int // children that failed since one did not
	last         error
	toldFailing  int
	toldAt       time.Time
	missing      int // children in a row that had records, and of which the API has nothing
	passed       int // over, since it was told of
	passedTold   time.Time
}

// childrenInFlight is how many children of a stream are fetched at once in a process. Their requests share what the API
// allows with all others.
const childrenInFlight = 64

const noticeChildren = "children_failing"

func newKids(in *Ingest, s *pipeline.Stream) *kids {
	return &kids{in: in, stream: s, slots: semaphore.NewWeighted(childrenInFlight)}
}

// count counts a child as due, and as failing, or not.
func (k *kids) count(c *child, due, failing bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.due += change(&c.countedDue, due)
	k.failing += change(&c.countedFailing, failing)
	k.metrics.known.Set(float64(k.known.Load()))
	k.metrics.due.Set(float64(k.due))
	k.metrics.failing.Set(float64(k.failing))
	k.tell()
}

// change sets was, and returns by how much a count of those that are true changes.
func change(was *bool, is bool) int {
	defer func() { *was = is }()
	switch {
	case is && !*was:
		return 1
	case *was && !is:
		return -1
	}
	return 0
}

// succeeded notes that a child was fetched.
func (k *kids) succeeded() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.streak = 0
}

// failed notes that a child could not be fetched, and returns how long to pause: only if many fail one after the other,
// which is more likely the API's fault than theirs.
func (k *kids) failed(c *child, err error) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = fmt.Errorf("%s: %w", c.name, err)
	if k.streak++; k.streak < inARow {
		return 0
	}
	return max(k.stream.Ingest.HTTP.Retry.Max, minPause)
}

// tell says how many children fail: at once if there were none, then once a quietPasses. k.mu is held.
func (k *kids) tell() {
	switch {
	case k.failing == 0 && k.toldFailing > 0:
		k.in.notices.Clear(k.stream.Name, noticeChildren)
		k.toldFailing = 0
	case k.failing > 0 && k.failing != k.toldFailing && k.last != nil && (k.toldFailing == 0 || time.Since(k.toldAt) >= quietPasses):
		text := fmt.Sprintf("%s: of %s, the slices of %d records cannot be fetched; the others continue, and these are tried again. The last: %v",
			k.stream.Name, k.stream.Ingest.ForEach.Parent, k.failing, k.last)
		k.in.notices.Raise(k.stream.Name, noticeChildren, text)
		k.toldFailing, k.toldAt = k.failing, time.Now()
	}
}

// left is how many children are to be fetched.
func (k *kids) left() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.due
}

// found notes that the API has something of a child, if it is an empty list.
func (k *kids) found() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.missing = 0
}

// gone notes that the API has nothing of a child that had records. It reports false if so many in a row are gone that
// it is more likely the API's fault than theirs.
func (k *kids) gone() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.missing++
	return k.missing < inARow
}

// passedOver notes that the API has nothing of a child, and tells of those: at most once a quietPasses.
func (k *kids) passedOver(which string) {
	k.metrics.passedOver.Inc()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.passed++
	if time.Since(k.passedTold) < quietPasses {
		return
	}
	k.in.env.Log.Warn("the API has nothing for a record of "+k.stream.Ingest.ForEach.Parent+": it counts as one without any, until it changes",
		"stream", k.stream.Name, "records", k.passed, "last", which)
	k.passed, k.passedTold = 0, time.Now()
}
