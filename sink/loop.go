package sink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// loop polls, and hands what it polled to the writers, until ctx is cancelled. The batches in hand then are written, unless hard
// ends before.
func (s *Sink) loop(ctx, hard context.Context) error {
	feeds := make([]chan []*job, len(s.writers))
	var group sync.WaitGroup
	for i, w := range s.writers {
		feeds[i] = make(chan []*job, 1) // a poll ahead, so that no writer waits for another
		group.Go(func() { s.serve(ctx, hard, w, feeds[i]) })
	}
	defer group.Wait()
	defer func() {
		for _, feed := range feeds {
			close(feed)
		}
	}()
	nextPrune, nextPing := time.Now().Add(time.Minute), time.Now()
	for ctx.Err() == nil {
		queues, err := s.poll(ctx)
		if err != nil {
			return fmt.Errorf("sink: %w", err)
		}
		idle := true
		for i, queue := range queues {
			if len(queue) == 0 {
				continue
			}
			idle = false
			select {
			case feeds[i] <- queue:
			case <-ctx.Done():
			}
		}
		s.reclaim(ctx)
		now := time.Now()
		if idle && now.After(nextPing) {
			s.ping(ctx) // the client is silent about brokers that do not answer
			nextPing = now.Add(5 * time.Second)
		}
		if now.After(nextPrune) {
			nextPrune = now.Add(s.prune(ctx))
		}
	}
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("sink: %w", err)
	}
	return nil
}

// poll returns what each writer has to write. From the poll to AllowRebalance no partition is revoked, and none while mu is held: so the
// records belong to the claims that are there.
func (s *Sink) poll(ctx context.Context) ([][]*job, error) {
	idle, cancel := context.WithTimeout(ctx, time.Second)
	fetches := s.client.PollFetches(idle)
	cancel()
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.client.AllowRebalance()
	if err := s.fetchError(fetches); err != nil {
		return nil, err
	}
	return s.split(fetches)
}

// serve writes what it is fed. Between batches, and while it waits for the database, partitions can be revoked; those drop out of the
// batches. Once ctx is cancelled no batch is begun: what is left is for whoever takes over.
func (s *Sink) serve(ctx, hard context.Context, w *writer, feed <-chan []*job) {
	d := newDecoder(s.store.dialect)
	for queue := range feed {
		wait := newBackoff()
		for len(queue) > 0 && ctx.Err() == nil {
			s.mu.RLock()
			rest, later := s.write(hard, w, d, queue[0])
			s.mu.RUnlock()
			queue = append(rest, queue[1:]...)
			if !later {
				wait.Reset()
				continue
			}
			select {
			case <-ctx.Done():
			case <-time.After(wait.NextBackOff()):
			}
		}
	}
}

// ping tells whether the brokers answer.
func (s *Sink) ping(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	switch err := s.client.Ping(ctx); {
	case err == nil:
		s.waits.done("Kafka")
	case !errors.Is(ctx.Err(), context.Canceled):
		s.waits.on("Kafka", err)
	}
}

// prune removes some old marks, and says when to look again: soon, if there may be more.
func (s *Sink) prune(ctx context.Context) time.Duration {
	n, err := s.store.prune(ctx)
	switch {
	case err != nil && ctx.Err() == nil:
		s.env.Log.Warn("removing old marks", "error", err)
	case n > 0:
		s.env.Log.Debug("removed old marks", "marks", n)
		return 5 * time.Second
	}
	return 10 * time.Minute
}

// fetchError is the first error of a poll that the client does not mend by itself.
func (s *Sink) fetchError(fetches kgo.Fetches) (err error) {
	healthy := fetches.NumRecords() > 0
	fetches.EachError(func(topic string, part int32, e error) {
		var loss *kgo.ErrDataLoss
		switch {
		case errors.Is(e, context.DeadlineExceeded), errors.Is(e, context.Canceled):
		case errors.Is(e, kgo.ErrClientClosed):
		case errors.Is(e, kerr.OffsetOutOfRange), errors.As(e, &loss):
			if c := s.claims[topicPartition{topic, part}]; c != nil {
				err = s.positionError(c)
			}
		default:
			healthy = false
			s.waits.on("Kafka", fmt.Errorf("%s[%d]: %w", topic, part, e))
		}
	})
	if healthy {
		s.waits.done("Kafka")
	}
	return err
}

// positionError describes a position that the log does not have.
func (s *Sink) positionError(c *claim) error {
	e := &PositionError{Topic: c.topic, Partition: c.part, Next: c.polled, Start: -1, End: -1}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if infos, err := s.partitions(ctx, c.topic); err == nil {
		info := infos[topicPartition{c.topic, c.part}]
		e.Start, e.End = info.start, info.end
	}
	return e
}

// split gives each writer the records of its partitions, in batches of at most MaxRecords and MaxBatchBytes. It returns a
// *PositionError if records that were not read yet have been deleted from the log.
func (s *Sink) split(fetches kgo.Fetches) (queues [][]*job, err error) {
	polled := make([][]claimed, len(s.writers))
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		c := s.claims[topicPartition{p.Topic, p.Partition}]
		if c == nil || c.revoked.Load() {
			return // fetched before it was taken from us
		}
		records := p.Records
		for len(records) > 0 && records[0].Offset < c.polled {
			records = records[1:] // fetched before it was claimed again
		}
		if len(records) == 0 {
			return
		}
		if records[0].Offset > c.polled && p.LogStartOffset > c.polled {
			err = s.positionError(c)
			return
		}
		polled[c.writer] = extend(polled[c.writer], claimed{c, c.polled, records})
		c.polled = records[len(records)-1].Offset + 1
	})
	for _, all := range polled {
		queues = append(queues, s.jobs(all))
	}
	return queues, err
}

// sideBySide is how many records of a partition come before some of the next.
const sideBySide = 200

// jobs cuts records into batches. Each has some of every partition: records of one time often have neighbouring keys, which
// are in all partitions, and a transaction is the faster the fewer pages of the table it touches.
func (s *Sink) jobs(all []claimed) (queue []*job) {
	for len(all) > 0 {
		rest := all[:0]
		for _, p := range all {
			for n := sideBySide; n > 0 && len(p.records) > 0; {
				if len(queue) == 0 || queue[len(queue)-1].full(s.cfg) {
					queue = append(queue, newJob(s.client))
				}
				n -= queue[len(queue)-1].take(&p, n, s.cfg)
			}
			if len(p.records) > 0 {
				rest = append(rest, p)
			}
		}
		all = rest
	}
	return queue
}

// write writes j. It returns what is left of it: nothing, j, or smaller jobs in its place. later says not to try that at once.
func (s *Sink) write(ctx context.Context, w *writer, d *decoder, j *job) (rest []*job, later bool) {
	if j.batch == nil {
		j.batch, j.began = d.decode(j), time.Now()
	}
	for failures := 0; ctx.Err() == nil; {
		j.batch.drop()
		if len(j.batch.moves) == 0 {
			return nil, false
		}
		r, err := s.attempt(ctx, w, j)
		if err == nil {
			s.written(j, r)
			return nil, false
		}
		var fenced *FencedError
		var rejected *rejectedError
		switch {
		case errors.As(err, &fenced):
			s.fenced(fenced.Partitions, j.batch)
			continue
		case errors.As(err, &rejected):
			if j.records > isolateRecords { // halving is for few
				return j.pieces(isolateRecords), false
			}
			switch found, failed := w.isolate(ctx, j.batch); {
			case failed != nil:
				err = failed
			case found:
				continue
			case j.records > 1: // each is good by itself, not all together: a foreign key, a trigger
				return j.pieces((j.records + 1) / 2), false
			}
		case errors.Is(err, errBulk):
			s.env.Log.Warn("the table's rows are sent by INSERT for a while, which is slower", "for", bulkRest, "error", err)
			continue
		case errors.Is(err, context.DeadlineExceeded) && j.records > 1:
			s.env.Log.Warn("batch not written in time; trying smaller ones", "records", j.records, "error", err)
			s.waits.on(s.server(err), err) // it may be too slow, or not there
			return j.pieces((j.records + 3) / 4), false
		}
		s.metrics.retries.WithLabelValues(reason(err)).Inc()
		if failures++; failures > 1 { // a deadlock or a lost connection is over at once, anything else is worth a word
			s.waits.on(s.server(err), err)
			return []*job{j}, true
		}
	}
	return []*job{j}, true
}

// server is who did not do what an attempt asked for.
func (s *Sink) server(err error) string {
	if errors.Is(err, errLetter) {
		return "Kafka"
	}
	return s.store.dialect.name()
}

// attempt sends the letters that are due and applies the batch.
func (s *Sink) attempt(ctx context.Context, w *writer, j *job) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if err := j.letters.send(ctx, j.batch, j.sent); err != nil {
		return result{}, err
	}
	r, err := w.apply(ctx, j.batch)
	if !errors.Is(err, errUnknown) {
		return r, err
	}
	s.env.Log.Warn("COMMIT was not answered; asking the offset row whether it happened", "error", err)
	happened, asked := w.committed(ctx, j.batch)
	if asked != nil {
		return r, fmt.Errorf("%w; asking: %w", err, asked)
	}
	if happened {
		return r, nil
	}
	return r, err
}

// written moves the claims' positions and counts.
func (s *Sink) written(j *job, r result) {
	b := j.batch
	s.waits.done(s.store.dialect.name())
	marks := map[string]map[int32]kgo.EpochOffset{}
	for _, m := range b.moves {
		m.claim.next, m.claim.high = m.next, m.high
		if marks[m.claim.topic] == nil {
			marks[m.claim.topic] = map[int32]kgo.EpochOffset{}
		}
		marks[m.claim.topic][m.claim.part] = kgo.EpochOffset{Epoch: -1, Offset: m.next}
	}
	s.client.MarkCommitOffsets(marks)
	s.metrics.batches.Inc()
	s.metrics.duration.Observe(time.Since(j.began).Seconds())
	records := map[string]int{}
	for i := range b.changes {
		records[b.changes[i].table.stream]++
	}
	for stream, n := range records {
		s.metrics.records.WithLabelValues(stream).Add(float64(n))
	}
	for stream, n := range r.upserts {
		s.metrics.rows.WithLabelValues(stream).Add(float64(n))
		s.metrics.deletes.WithLabelValues(stream).Add(float64(r.removed[stream]))
		s.metrics.stale.WithLabelValues(stream).Add(float64(r.stale[stream]))
	}
	for stream, n := range j.sent {
		s.metrics.letters.WithLabelValues(stream).Add(float64(n))
	}
}

// reason is a retry's label.
func reason(err error) string {
	switch {
	case errors.Is(err, errUnknown):
		return "unknown_commit"
	case mysqlNumber(err) == 1213:
		return "deadlock"
	case mysqlNumber(err) == 1205:
		return "lock_timeout"
	case mysqlNumber(err) != 0:
		return "refused"
	default:
		return "connection"
	}
}
