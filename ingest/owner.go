package ingest

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/written"
	"github.com/millrace-io/millrace/internal/changelog"
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
	confirm   func(context.Context) error // whether we are still a member of the group that has the partition
	log       *slog.Logger
	waiting   string // what was last said to be waited for
}

// queuedPages is how many pages may wait for the commit loop: as many as come in while a commit takes its time.
const queuedPages = 16

// run owns the partition until fetch ends; what was fetched by then is committed. work is for the requests to the
// brokers: when it ends, everything is dropped at once. It returns a *[changelog.FencedError] if the partition is another
// process's, and nil otherwise; all else is waited out.
func (o *owner) run(fetch, work context.Context) error {
	part := "ingest partition " + strconv.Itoa(int(o.partition))
	defer o.in.env.Health.Ready(part)
	for delay := 250 * time.Millisecond; ; delay = min(2*delay, 5*time.Second) {
		claimed, err := o.once(fetch, work)
		var fenced *changelog.FencedError
		if err == nil || errors.As(err, &fenced) {
			return err
		}
		if work.Err() != nil || fetch.Err() != nil {
			return nil // what was not committed is fetched again by whoever is next
		}
		if claimed {
			delay = 250 * time.Millisecond
		}
		if kind := root(err); kind != o.waiting {
			o.log.Warn("the state topic's partition is claimed anew: what is not known to be committed is read back", "err", err)
			o.waiting = kind
		}
		o.in.env.Health.Wait(part, err.Error())
		_ = sleep(fetch, delay/2+rand.N(delay))
	}
}

func root(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

// once claims the partition and works on it until fetch ends or something fails.
func (o *owner) once(fetch, work context.Context) (claimed bool, err error) {
	both, cancel := context.WithCancel(fetch) // claiming ends with fetch: there is nothing to lose yet
	defer cancel()
	defer context.AfterFunc(work, cancel)()
	if err := o.confirm(both); err != nil {
		return false, err
	}
	log, state, err := o.in.claim(both, o.partition)
	if err != nil {
		return false, err
	}
	defer log.Close()
	if o.waiting != "" {
		o.log.Info("the state topic's partition is claimed again")
		o.waiting = ""
	}
	o.in.env.Health.Ready("ingest partition " + strconv.Itoa(int(o.partition)))
	queue := make(chan *page, queuedPages)
	slices, err := o.slices(state, queue)
	if err != nil {
		return true, err
	}
	var running sync.WaitGroup
	for _, s := range slices {
		running.Go(func() { s.run(both) })
	}
	go func() {
		running.Wait()
		close(queue)
	}()
	c := committer{
		log: log, queue: queue, interval: o.in.cfg.CommitInterval, limit: o.in.cfg.TransactionBytes,
		timeout: 2 * o.in.cfg.TransactionTimeout,
	}
	err = c.run(work)
	cancel()
	for p := range queue { // fetched, not committed: whoever is next fetches it again
		p.close()
	}
	return true, err
}

// slices restores the slices of the partition.
func (o *owner) slices(state *restored, queue chan<- *page) ([]*slice, error) {
	var out []*slice
	for _, ref := range o.in.byPartition[o.partition] {
		key := cursor.Key(ref.stream.Name, ref.name)
		var c cursor.Cursor
		if value, ok := state.cursors[key]; ok {
			var err error
			if c, err = cursor.Decode(key, value); err != nil {
				return nil, err
			}
		}
		s, err := o.in.newSlice(ref.stream, ref.name, c, queue)
		if err != nil {
			return nil, err
		}
		bound := min(o.in.cfg.RememberedRecords, o.in.cfg.RememberedInAll/max(o.in.ownedSlices(), 1))
		s.written = written.New(bound, s.full, o.in.p.Kafka.MaxRecordBytes)
		if err := s.written.Restore(state.segments[key], c.Pass); err != nil {
			return nil, err
		}
		if c.Since != nil && !s.full {
			s.written.SetFloor(s.reader.scale.Floor(c.Since))
		}
		out = append(out, s)
	}
	return out, nil
}
