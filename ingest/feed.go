package ingest

import (
	"container/heap"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/cut"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/known"
	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
)

// feed makes the slices of a child stream from the records of one partition of its parent's raw topic, and has them
// fetched.
//
//	parent's raw partition ── read committed ──► listing: revisions of records, and the position after them
//	                                               one transaction of the state topic: the work is durable
//	children that are due ── oldest first ──► slice ──► pages ──► committer: records, cursor, and the revision that is done
//
// What must hold: a listing and the position after it commit together, so that no record of the parent is passed over.
// A child that is fetched for a revision is done with that revision alone, in the transaction that has its last page;
// one that came meanwhile is wanted still. A child is fetched by one slice at a time, and again only when what the
// slice had handed over is committed. All children of a partition of the parent have their state in one partition of
// the state topic, so whoever may write them also reads that partition, and each record of the parent is read once.
//
// A revision is the generation of the position, in the upper 16 bits, and the offset of the record. The generation
// grows when the position begins again at the start: the raw topic is another one, or other lists are crossed.
type feed struct {
	in        *Ingest
	stream    *pipeline.Stream
	partition int32 // of the parent's raw topic
	topic     string
	log       *slog.Logger
	queue     chan<- *page
	kids      *kids
	gate      *gate
	reader    *reader
	names     []string // of the placeholders of the parent's fields
	fields    *cut.Fields
	crossed   [][]string

	read    atomic.Int64 // offset up to which the parent's raw topic was read
	pending atomic.Int64 // listings that are not committed
	wake    chan struct{}
	reaping chan struct{}

	mu       sync.Mutex
	at       cursor.Feed
	children map[string]*child
	due      schedule
	gone     map[*child]bool
	active   int
}

// revisionBits are those of the offset in a revision.
const revisionBits = 48

// add adds a child that has these keys.
func (f *feed) add(c *child, keys *known.Restored, of *cursor.Known) {
	if f.stream.Ingest.Deletes != nil {
		c.keys = known.Adopt(keys, of, f.in.seen[f.stream].room)
	}
	f.children[c.name] = c
	f.kids.known.Add(1)
	for _, s := range c.segments {
		f.in.childSegments.Add(int64(len(s)))
	}
}

// drop undoes [feed.add].
func (f *feed) drop(c *child) {
	if c.keys != nil {
		c.keys.Close()
	}
	if c.doubted {
		f.in.notices.Clear(f.stream.Name, noticePaginate)
	}
	if c.toldDeletes {
		f.in.notices.Clear(f.stream.Name, noticeDeletes)
	}
	delete(f.children, c.name)
	f.kids.known.Add(-1)
	for _, s := range c.segments {
		f.in.childSegments.Add(-int64(len(s)))
	}
	f.kids.count(c, false, false)
}

// has reports whether a combination of values is still in the pipeline file.
func (f *feed) has(name string) bool {
	if f.stream.Ingest.Slices == nil {
		return true
	}
	values := f.stream.Ingest.SliceValues(name)
	if values == nil {
		return false
	}
	for _, list := range f.stream.Ingest.Slices.Lists() {
		if !slices.Contains(list.Values, values[list.Name]) {
			return false
		}
	}
	return true
}

// run has children fetched until ctx ends.
func (f *feed) run(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { f.settle(ctx) })
	work.Go(func() { f.reap(ctx) })
	for f.await(ctx) == nil && f.gate.enter(ctx) == nil && f.kids.slots.Acquire(ctx, 1) == nil {
		c := f.nextDue()
		if c == nil { // it was deleted meanwhile, or the stream paused
			f.kids.slots.Release(1)
			continue
		}
		work.Go(func() {
			defer f.kids.slots.Release(1)
			f.fetch(ctx, c)
		})
	}
}

// leave takes the children of the feed from what is told of the stream. Nothing of the feed is committed after that.
func (f *feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.children {
		f.drop(c)
	}
}

// await returns when a child is due.
func (f *feed) await(ctx context.Context) error {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		wait, ok := f.until()
		if ok && wait <= 0 {
			return ctx.Err()
		}
		var timer <-chan time.Time
		if ok {
			t.Reset(wait)
			timer = t.C
		}
		select {
		case <-timer:
		case <-f.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// until is the time until the next child is due; ok is false if none will be.
func (f *feed) until() (wait time.Duration, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.due) == 0 {
		return 0, false
	}
	return time.Until(f.due[0].due), true
}

// nextDue is the child that has been due for longest, or nil.
func (f *feed) nextDue() *child {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.due) == 0 || f.due[0].due.After(time.Now()) {
		return nil
	}
	c := f.due[0]
	heap.Remove(&f.due, c.at)
	c.active = true
	f.active++
	return c
}

// fetch fetches a pass of a child.
func (f *feed) fetch(ctx context.Context, c *child) {
	during, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := f.slice(c, cancel)
	if err == nil {
		defer s.in.waits.Drop(s.who)
		defer s.goesOn()
		err = s.pass(during)
	}
	again, fromStart := false, false
	if s != nil && err != nil {
		if pass, kept := s.plan.Pass, s.plan.Kept; during.Err() == nil && !errors.Is(err, errPaused) {
			s.beginAgain(err)
			again, fromStart = s.plan.Pass != pass, s.plan.Kept != kept
		}
		if s.sent != nil { // what the slice is fetched again from is what the state topic has then
			select {
			case <-s.sent:
			case <-ctx.Done():
				return
			}
		}
	}
	if ctx.Err() != nil {
		return
	}
	f.mu.Lock()
	if c.fromStart = fromStart; s != nil {
		c.doubted, c.toldDeletes = s.doubted, s.toldDeletes
	}
	f.mu.Unlock()
	if pause := f.ended(c, again, err); pause > 0 {
		_ = stage.Sleep(ctx, pause)
	}
}

// ended notes that a pass of a child has ended with err, and returns how long to pause before another one.
func (f *feed) ended(c *child, again bool, err error) (pause time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.active, c.cancel = false, nil
	f.active--
	switch {
	case c.gone:
		f.gone[c] = true
		signal(f.reaping)
	case errors.Is(err, errPaused):
	case err != nil:
		c.again, c.refused = again, refused(err)
		c.failures++
		c.retryAt = time.Now().Add(f.retryAfter(c.failures))
		pause = f.kids.failed(c, err)
	default:
		c.again, c.failures = false, 0
		f.kids.succeeded()
	}
	f.plan(c)
	return pause
}

// refused reports whether another attempt hardly helps, as with 403.
func refused(err error) bool {
	e, ok := errors.AsType[*fetch.Error](err)
	return ok && !e.Transient() || errors.Is(err, request.ErrNothing)
}

// Waits of children that cannot be fetched.
const (
	longRetry = 10 * time.Minute // at most, unless http.retry.max is more
	inARow    = 8                // children that fail one after the other before there is a pause
)

// retryAfter is how long a child rests that could not be fetched so many times.
func (f *feed) retryAfter(failures int) time.Duration {
	least := max(f.stream.Ingest.HTTP.Retry.Max, minPause)
	return min(least<<min(failures-1, 16), max(least, longRetry))
}

// plan says when a child is due. f.mu is held.
func (f *feed) plan(c *child) {
	due, ok := c.isDue()
	switch {
	case !ok && c.at != notDue:
		heap.Remove(&f.due, c.at)
	case ok && c.at != notDue:
		c.due = due
		heap.Fix(&f.due, c.at)
	case ok:
		c.due = due
		heap.Push(&f.due, c)
	}
	f.kids.count(c, c.dirty(), c.failures > 0)
	signal(f.wake)
}

// signal wakes who waits for a channel of capacity 1, now or later.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
