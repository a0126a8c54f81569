package ingest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/known"
	"github.com/millrace-io/millrace/ingest/written"
	"github.com/millrace-io/millrace/internal/changelog"
	"github.com/millrace-io/millrace/internal/stage"
)

// owner fetches and commits the slices of one partition of the state topic while this process is assigned it.
//
//	slice goroutines ── pages, in order per slice ──► queue ──► commit loop: one transaction after the other
//
// Fetching goes on while a transaction commits. What a slice's goroutine knows of its position runs ahead of
// what is committed; after any failure both are thrown away and read from the state topic.
type owner struct {
	in        *Ingest
	partition int32
	half      *restored                   // of a claim that was given up; nil: none
	kept      map[string][]*page          // fetched and not committed, by slice
	confirm   func(context.Context) error // whether this process is a member of the group still
}

// queuedPages is how many pages may wait for the commit loop: as many as come in while a commit takes its time.
const queuedPages = 16

// run owns the partition until fetch ends; what was fetched by then is committed. work is for the requests to the
// brokers: when it ends, everything is dropped at once. It returns a *[changelog.FencedError] if the partition is
// another process's, errAnew if the state topic is another one, and nil otherwise; all else is waited out, and the
// partition claimed anew.
func (o *owner) run(fetch, work context.Context) error {
	defer func() { o.drop() }()
	var fenced *changelog.FencedError
	anew := false
	attempts := stage.Attempts{Server: kafka, Who: o.name(), Permanent: func(error) bool { return fenced != nil || anew }}
	_ = o.in.waits.Persist(fetch, attempts, func(context.Context) error {
		err := o.work(fetch, work)
		_ = errors.As(err, &fenced)
		if !unknownTopic(err) {
			return err
		}
		changed, failed := o.in.renew(fetch)
		if anew = errors.Is(failed, errAnew); changed && !anew {
			err = o.work(fetch, work) // at once, and without a word: it is known why
			_ = errors.As(err, &fenced)
		}
		return err
	})
	if anew {
		o.in.waits.Drop(o.name())
		return errAnew
	}
	if fenced != nil { // also while fetch ended: nothing that is known of any partition can be trusted
		o.in.waits.Drop(o.name())
		return fenced
	}
	return nil // what was not committed is fetched again by whoever is next
}

// name is who waits while the partition is not claimed.
func (o *owner) name() string { return "partition " + strconv.Itoa(int(o.partition)) }

// work claims the partition and works on it until fetch ends or something fails. Whenever positions in it were set back, it
// claims it again.
func (o *owner) work(fetch, work context.Context) error {
	for {
		changed := o.in.decisions.changed(o.partition)
		err := o.once(fetch, work, changed)
		if fetch.Err() != nil || err != nil && !o.in.decisions.excuses(fetch, o.partition, err, changed) {
			return err
		}
	}
}

// once claims the partition and works on it until fetch ends, something fails, or changed is closed.
func (o *owner) once(fetch, work context.Context, changed <-chan struct{}) error {
	both, cancel := context.WithCancel(fetch) // claiming ends with fetch: there is nothing to lose yet
	defer cancel()
	defer context.AfterFunc(work, cancel)()
	if err := o.in.decisions.yield(both, o.partition); err != nil {
		return err
	}
	if err := o.confirm(both); err != nil {
		return err
	}
	log, state, err := o.claim(both)
	if err != nil {
		return err
	}
	defer log.Close()
	// Who decides that nothing is fetched fences the owners afterwards, so that whoever claims after that reads it here.
	if err := o.in.decisions.read(both); err != nil {
		return err
	}
	o.in.waits.Done(kafka, o.name())
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() {
		select {
		case <-changed:
			cancel()
		case <-both.Done():
		}
	})
	queue := make(chan *page, queuedPages)
	slices, err := o.slices(state, queue)
	defer closeSlices(slices)
	if err != nil {
		return err
	}
	feeds, err := o.feeds(state, queue)
	defer func() {
		for _, f := range feeds {
			f.leave()
		}
	}()
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	for _, s := range slices {
		running.Go(func() { s.run(both) })
	}
	var followed error
	if len(feeds) > 0 {
		running.Go(func() {
			if err := o.in.follow(both, log, feeds); err != nil && both.Err() == nil {
				followed = err
				cancel()
			}
		})
	}
	for _, f := range feeds {
		running.Go(func() { f.run(both) })
	}
	go func() {
		running.Wait()
		close(queue)
	}()
	timeout := o.in.cfg.TransactionTimeout * 3 / 4
	interval := min(o.in.cfg.CommitInterval, timeout/3) // the rest of the time is for what was written to get through
	c := committer{
		log: log, queue: queue, partition: o.partition, pace: stage.Pace{Interval: interval}, partitions: int(o.in.p.Kafka.Partitions),
		limit: o.in.cfg.TransactionBytes, room: o.in.room, timeout: timeout,
	}
	err = c.run(work)
	cancel()
	left := c.left
	for p := range queue {
		left = append(left, p)
	}
	if err == nil {
		err = followed // its goroutine ended before the queue was closed
	}
	o.keep(err, left)
	return err
}

// claim takes the partition over. What was restored of it before a claim was given up is kept for the next one, which
// reads what comes after.
func (o *owner) claim(ctx context.Context) (*changelog.Changelog, *restored, error) {
	state := o.half
	if o.half = nil; state == nil {
		state = newRestored()
	}
	log, err := o.in.claim(ctx, o.partition, state)
	if err != nil && !errors.Is(err, kerr.OffsetOutOfRange) { // else it is another topic of that name
		o.half = state
	}
	return log, state, err
}

// remember restores what the slice has written, as it was when c was committed; nothing of it counts if forget.
func (s *slice) remember(segments map[uint64][]byte, c cursor.Cursor, forget bool) error {
	if err := s.written.Restore(segments, c.Oldest, c.Pass); err != nil {
		return err
	}
	if forget || c.Version != 0 && c.Shared != s.shared {
		s.written.Forget()
	}
	if s.plan.Since != nil && !s.full {
		s.written.SetFloor(s.reader.scale.Floor(s.plan.Since, s.plan.Form))
	}
	return nil
}

// feeds restores the feeds of the partition. They must be left, with an error too.
func (o *owner) feeds(state *restored, queue chan<- *page) ([]*feed, error) {
	var out []*feed
	for _, ref := range o.in.byPartition[o.partition] {
		if !ref.feed {
			continue
		}
		f, err := o.in.newFeed(ref, state, queue)
		if err != nil {
			return out, err
		}
		out = append(out, f)
	}
	return out, nil
}

// slices restores the slices of the partition. They must be closed, with an error too.
func (o *owner) slices(state *restored, queue chan<- *page) ([]*slice, error) {
	var out []*slice
	for _, ref := range o.in.byPartition[o.partition] {
		if ref.feed {
			continue
		}
		key := cursor.Key(ref.stream.Name, ref.name)
		var c cursor.Cursor
		if value, ok := state.cursors[key]; ok {
			var err error
			if c, err = cursor.Decode(key, value); err != nil {
				return nil, err
			}
		}
		c, begun := o.in.sameTopic(ref.stream, c)
		s, err := o.in.newSlice(ref.stream, ref.name, nil, c, queue)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
		bound := min(o.in.cfg.RememberedRecords, o.in.cfg.RememberedInAll/max(o.in.ownedSlices(), 1))
		s.written = written.New(bound, s.full, o.in.p.Kafka.MaxRecordBytes)
		if err := s.remember(state.segments[key], c, begun); err != nil {
			return out, err
		}
		if s.stream.Ingest.Deletes != nil {
			if err := state.known[key].Err(); err != nil {
				return out, fmt.Errorf("state of %s: %w", key, err)
			}
			s.keys = known.Adopt(state.known[key], s.plan.Known, o.in.seen[ref.stream].room)
		}
		delete(state.known, key)
		if err := s.adoptPages(s.plan, o.kept[key]); err != nil {
			return out, err
		}
		delete(o.kept, key)
	}
	return out, nil
}
