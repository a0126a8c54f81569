package ingest

import (
	"context"
	"errors"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

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

// run owns the partition until fetch ends; what was fetched by then is committed. work is for the requests to the
// brokers: when it ends, everything is dropped at once. It returns a *[changelog.FencedError] if the partition is
// another process's, errRecreated if the state topic is another one, and nil otherwise; all else is waited out, and the
// partition claimed again.
func (o *owner) run(fetch, work context.Context) error {
	defer func() { o.drop() }()
	var fenced *changelog.FencedError
	recreated := false
	attempts := stage.Attempts{Server: kafka, Who: o.name(), Permanent: func(error) bool { return fenced != nil || recreated }}
	_ = o.in.waits.Persist(fetch, attempts, func(context.Context) error {
		err := o.work(fetch, work)
		_ = errors.As(err, &fenced)
		if !unknownTopic(err) {
			return err
		}
		changed, failed := o.in.renew(fetch)
		if recreated = errors.Is(failed, errRecreated); changed && !recreated {
			err = o.work(fetch, work) // at once, and without a word: it is known why
			_ = errors.As(err, &fenced)
		}
		return err
	})
	if recreated {
		o.in.waits.Drop(o.name())
		return errRecreated
	}
	if fenced != nil { // also while fetch ended: nothing that is known of any partition can be trusted
		o.in.waits.Drop(o.name())
		return fenced
	}
	return nil // what was not committed is fetched again by whoever is next
}

// name is who waits while the partition is not claimed.
func (o *owner) name() string { return "partition " + strconv.Itoa(int(o.partition)) }

// work claims the partition and works on it until fetch ends or something fails. Whenever positions in it were set
// back, it claims it again.
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
	log, state, err := o.enter(both)
	if err != nil {
		return err
	}
	defer log.Close()
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
	f, err := o.restore(state)
	defer f.close()
	if err != nil {
		return err
	}
	f.start(both, cancel, log)
	c := o.committer(log, f.queue)
	err = c.run(work)
	cancel()
	left := c.left
	for p := range f.queue {
		left = append(left, p)
	}
	if err == nil {
		err = f.failed
	}
	o.keep(err, left)
	return err
}

// enter claims the partition, if nobody has decided that nothing of it is fetched.
func (o *owner) enter(ctx context.Context) (*changelog.Changelog, *restored, error) {
	if err := o.in.decisions.yield(ctx, o.partition); err != nil {
		return nil, nil, err
	}
	if err := o.confirm(ctx); err != nil {
		return nil, nil, err
	}
	log, state, err := o.claim(ctx)
	if err != nil {
		return nil, nil, err
	}
	// Who decides that nothing is fetched fences the owners afterwards, so that whoever claims after that reads it here.
	if err := o.in.decisions.read(ctx); err != nil {
		log.Close()
		return nil, nil, err
	}
	o.in.waits.Done(kafka, o.name())
	return log, state, nil
}

// committer commits the pages of the queue to the partition.
func (o *owner) committer(log *changelog.Changelog, queue <-chan *page) *committer {
	timeout := o.in.cfg.TransactionTimeout * 3 / 4
	interval := min(o.in.cfg.CommitInterval, timeout/3) // the rest of the time is for what was written to get through
	return &committer{
		log: log, queue: queue, partition: o.partition, pace: stage.Pace{Interval: interval}, partitions: int(o.in.p.Kafka.Partitions),
		limit: o.in.cfg.TransactionBytes, room: o.in.room, timeout: timeout,
	}
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
