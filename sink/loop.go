package sink

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// loop polls, and hands what it polled to the writers, until ctx is cancelled. The batches in hand then are written,
// unless hard ends before.
func (s *Sink) loop(ctx, hard context.Context) error {
	feeds := make([]chan []*job, len(s.writers))
	var group sync.WaitGroup
	serving, stop := context.WithCancel(ctx)
	for i, w := range s.writers {
		feeds[i] = make(chan []*job, 1) // a poll ahead, so that no writer waits for another
		group.Go(func() { s.serve(serving, hard, w, feeds[i]) })
	}
	group.Go(func() { s.tend(serving) })
	group.Go(func() { s.pruneMarks(serving, pruneEvery) })
	defer s.forgetFills()
	defer group.Wait()
	defer stop()
	defer func() {
		for _, feed := range feeds {
			close(feed)
		}
	}()
	s.nextLook = time.Now().Add(looksEvery)
	nextPing, nextPoll := time.Now(), time.Now()
	for ctx.Err() == nil {
		queues := s.poll(ctx, nextPoll) // what comes meanwhile is one transaction, not many
		nextPoll = time.Now().Add(s.gap(queues))
		if err := s.awaitWriters(ctx); err != nil {
			return err
		}
		idle, err := s.feed(ctx, feeds, queues)
		if err != nil {
			return err
		}
		s.reclaim(ctx)
		s.tendFills(serving, hard, group.Go)
		now := time.Now()
		if idle && now.After(nextPing) {
			s.ping(ctx) // the client is silent about brokers that do not answer
			nextPing = now.Add(5 * time.Second)
		}
		if err := s.look(ctx); err != nil {
			return err
		}
	}
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("sink: %w", err)
	}
	return nil
}

// maxGap bounds the time between two polls, however many partitions they are of.
const maxGap = 100 * time.Millisecond

// gap is how much time is to be between a poll and the next: none after one that brought nothing.
func (s *Sink) gap(queues [][]*job) time.Duration {
	records, partitions := 0, 0
	for _, queue := range queues {
		for _, j := range queue {
			records += j.records
		}
		if len(queue) > 0 {
			partitions += len(queue[0].polled)
		}
	}
	least := min(maxGap, stage.Gap(0, partitions))
	switch {
	case partitions == 0:
		return 0
	case records <= fewRecords:
		return max(least, s.cfg.Gap)
	}
	return least
}

// feed gives each writer its queue, and waits until they take them. It reports whether there was nothing to give. A
// writer may wait for a topic that was deleted, so it looks after the topics meanwhile.
func (s *Sink) feed(ctx context.Context, feeds []chan []*job, queues [][]*job) (idle bool, err error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	idle = true
	for i, queue := range queues {
		queue = s.withWaiting(feeds[i], queue)
		for taken := len(queue) == 0; !taken; {
			idle = false
			select {
			case feeds[i] <- queue:
				s.inHand.Add(1)
				taken = true
			case <-ctx.Done():
				taken = true
			case <-tick.C:
				if err := s.look(ctx); err != nil {
					return false, err
				}
			}
		}
	}
	return idle, nil
}

// withWaiting adds a small queue to the one that waits for its writer, if that is small too: what a busy writer finds
// when it has ended is one transaction, not two. Nobody else sends to feed.
func (s *Sink) withWaiting(feed chan []*job, queue []*job) []*job {
	if len(queue) == 0 {
		return queue
	}
	select {
	case waiting := <-feed:
		if len(waiting) == 1 && len(queue) == 1 && waiting[0].add(queue[0], s.cfg) {
			s.inHand.Add(-1)
			return waiting
		}
		feed <- waiting
	default:
	}
	return queue
}

// poll returns what each writer has to write: what there is at a time, or comes first after it. From the poll to
// AllowRebalance no partition is revoked, and none while mu is held: so the records belong to the claims that are
// there.
func (s *Sink) poll(ctx context.Context, at time.Time) [][]*job {
	idle, cancel := context.WithTimeout(ctx, time.Second)
	fetches := stage.Gather(idle, at, math.MaxInt32, s.client.PollRecords)
	cancel()
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.client.AllowRebalance()
	s.fetchErrors(fetches)
	return s.split(fetches)
}

// serve writes what it is fed. Between batches, and while it waits for the database, partitions can be revoked; those
// drop out of the batches. Once ctx is cancelled no batch is begun: what is left is for whoever takes over.
func (s *Sink) serve(ctx, hard context.Context, w *writer, feed <-chan []*job) {
	d := rows.NewDecoder()
	for queue := range feed {
		s.writeAll(ctx, hard, w, d, queue)
		if s.inHand.Add(-1) == 0 {
			select {
			case s.allWritten <- struct{}{}:
			default:
			}
		}
	}
}

// writeAll writes jobs, in their order, until none is left or ctx is cancelled.
func (s *Sink) writeAll(ctx, hard context.Context, w *writer, d *rows.Decoder, queue []*job) {
	wait := stage.NewBackoff()
	for len(queue) > 0 && ctx.Err() == nil {
		s.mu.RLock()
		rest, later := s.write(hard, w, d, queue[0])
		s.mu.RUnlock()
		queue = append(rest, queue[1:]...)
		if !later {
			wait.Reset()
			continue
		}
		_ = stage.Sleep(ctx, wait.NextBackOff())
	}
}

// ping tells whether the brokers answer.
func (s *Sink) ping(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	switch err := s.client.Ping(ctx); {
	case err == nil:
		s.waits.Done("Kafka", "")
	case !errors.Is(ctx.Err(), context.Canceled):
		s.waits.On("Kafka", "", err)
	}
}

// pruneEvery is how often old marks are looked for.
const pruneEvery = time.Minute

// pruneMarks removes old marks until ctx is cancelled, after a wait: as many as there are, a few at a time, and no more
// than half of the time.
func (s *Sink) pruneMarks(ctx context.Context, wait time.Duration) {
	goals := map[string]*goal{}
	var noted time.Time
	told := ""
	for stage.Sleep(ctx, wait) == nil {
		if s.client != nil && time.Since(noted) >= pruneEvery {
			noted = time.Now()
			if err := s.noteCaughtUp(ctx, goals); err != nil && ctx.Err() == nil {
				s.env.Log.Debug("not known whether the streams have caught up, so marks age later", "err", err)
			}
		}
		wait, told = s.pruneAll(ctx, told)
	}
}

// pruneAll removes a few old marks of each stream, and returns how long to wait before more are. What is in the way is
// told if it is not what was told before.
func (s *Sink) pruneAll(ctx context.Context, before string) (wait time.Duration, told string) {
	began := time.Now()
	wait = pruneEvery
	for topic, t := range s.tables.all() {
		n, err := s.store.prune(ctx, topic, t)
		if err != nil {
			cause := stage.Cause(err)
			if cause != before && ctx.Err() == nil {
				s.env.Log.Warn("old marks are not removed yet", "stream", t.Stream, "err", err)
			}
			return pruneEvery, cause // the marks of all streams are in one table
		}
		if n == dialect.PruneAtOnce {
			wait = min(wait, time.Since(began))
		}
	}
	return wait, ""
}
