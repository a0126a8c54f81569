package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// loop polls and writes until ctx is cancelled. What is in hand then is written, unless hard ends before.
func (s *Sink) loop(ctx, hard context.Context) error {
	decoders := make([]*decoder, len(s.writers))
	for i := range decoders {
		decoders[i] = newDecoder(s.store.dialect)
	}
	nextPrune := time.Now().Add(time.Minute)
	for ctx.Err() == nil {
		idle, cancel := context.WithTimeout(ctx, time.Second)
		fetches := s.client.PollFetches(idle)
		cancel()
		if err := s.poll(ctx, hard, fetches, decoders); err != nil {
			return fmt.Errorf("sink: %w", err)
		}
		if time.Now().After(nextPrune) {
			s.prune(ctx)
			nextPrune = time.Now().Add(10 * time.Minute)
		}
	}
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("sink: %w", err)
	}
	return nil
}

// poll writes what one poll returned. From the poll to AllowRebalance no partition is revoked; from Lock on,
// revocations wait for us.
func (s *Sink) poll(ctx, hard context.Context, fetches kgo.Fetches, decoders []*decoder) error {
	s.mu.Lock()
	s.client.AllowRebalance()
	err := s.fetchError(fetches)
	if err == nil && ctx.Err() == nil {
		s.writeAll(hard, s.split(fetches), decoders)
	}
	again := s.reclaim(hard)
	s.mu.Unlock()
	if len(again) > 0 {
		s.client.SetOffsets(again)
	}
	return err
}

func (s *Sink) prune(ctx context.Context) {
	if n, err := s.store.prune(ctx); err != nil {
		s.env.Log.Warn("removing old marks", "error", err)
	} else if n > 0 {
		s.env.Log.Debug("removed old marks", "marks", n)
	}
}

// fetchError is the first error of a poll that the client does not mend by itself.
func (s *Sink) fetchError(fetches kgo.Fetches) (err error) {
	healthy := fetches.NumRecords() > 0
	fetches.EachError(func(topic string, part int32, e error) {
		switch {
		case errors.Is(e, context.DeadlineExceeded), errors.Is(e, context.Canceled):
		case errors.Is(e, kgo.ErrClientClosed):
		case errors.Is(e, kerr.OffsetOutOfRange):
			c := s.claims[topicPartition{topic, part}]
			if c == nil {
				return
			}
			p := &PositionError{Topic: topic, Partition: part, Next: c.next, Start: -1, End: -1}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if infos, e := s.partitions(ctx, topic); e == nil {
				p.Start, p.End = infos[part].start, infos[part].end
			}
			err = p
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

// split gives each writer the records of its partitions, in batches of at most MaxRecords.
func (s *Sink) split(fetches kgo.Fetches) [][]*job {
	queues := make([][]*job, len(s.writers))
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		c := s.claims[topicPartition{p.Topic, p.Partition}]
		if c == nil {
			return // fetched before it was taken from us
		}
		records := p.Records
		for len(records) > 0 && records[0].Offset < c.next {
			records = records[1:] // fetched before it was claimed again
		}
		queue := &queues[c.writer]
		for len(records) > 0 {
			if len(*queue) == 0 || (*queue)[len(*queue)-1].records >= s.cfg.MaxRecords {
				*queue = append(*queue, newJob(s.client))
			}
			j := (*queue)[len(*queue)-1]
			n := min(len(records), s.cfg.MaxRecords-j.records)
			j.parts = append(j.parts, claimed{c, records[:n]})
			j.records += n
			records = records[n:]
		}
	})
	return queues
}

// job is a batch that is to be written, however often that takes.
type job struct {
	parts   []claimed
	records int
	batch   *batch // nil until its turn: the positions begin where the jobs before it ended
	letters *letters
	sent    map[string]int // letters, by stream
	began   time.Time
}

func newJob(client *kgo.Client) *job {
	return &job{letters: &letters{client: client, sent: map[*kgo.Record]bool{}}, sent: map[string]int{}}
}

type claimed struct {
	claim   *claim
	records []*kgo.Record
}

// writeAll has each writer write its jobs. When one cannot go on it waits, without mu, so that partitions can be
// revoked meanwhile; those drop out of the batches. The caller holds mu.
func (s *Sink) writeAll(ctx context.Context, queues [][]*job, decoders []*decoder) {
	wait := newBackoff()
	for {
		var group sync.WaitGroup
		for i, w := range s.writers {
			group.Go(func() {
				for len(queues[i]) > 0 && s.write(ctx, w, decoders[i], queues[i][0]) {
					queues[i] = queues[i][1:]
				}
			})
		}
		group.Wait()
		if ctx.Err() != nil || !slices.ContainsFunc(queues, func(q []*job) bool { return len(q) > 0 }) {
			return
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(wait.NextBackOff()):
		}
		s.mu.Lock()
	}
}

// decode makes j's batch. Its positions begin where the claims stand.
func (d *decoder) decode(j *job) *batch {
	d.arena = d.arena[:0]
	b := &batch{changes: make([]change, 0, j.records)}
	for _, p := range j.parts {
		m := move{p.claim, p.claim.next, p.claim.high}
		for _, r := range p.records {
			x := d.change(p.claim.table, p.claim, r)
			x.late = m.note(r.Offset, x.version)
			b.changes = append(b.changes, x)
		}
		b.moves = append(b.moves, m)
	}
	slices.SortFunc(b.moves, func(a, b move) int {
		return cmp.Or(cmp.Compare(a.claim.topic, b.claim.topic), cmp.Compare(a.claim.part, b.claim.part))
	})
	return b
}

// write writes j. It returns false if it must be tried again later.
func (s *Sink) write(ctx context.Context, w *writer, d *decoder, j *job) bool {
	if j.batch == nil {
		j.batch, j.began = d.decode(j), time.Now()
	}
	for ctx.Err() == nil {
		j.batch.drop()
		if len(j.batch.moves) == 0 {
			return true
		}
		r, err := s.attempt(ctx, w, j)
		if err == nil {
			s.written(j, r)
			return true
		}
		var fenced *FencedError
		var rejected *rejectedError
		switch {
		case errors.As(err, &fenced):
			s.fenced(fenced.Partitions, j.batch)
			continue
		case errors.As(err, &rejected):
			if err = w.isolate(ctx, j.batch); err == nil {
				continue
			}
		}
		s.metrics.retries.WithLabelValues(reason(err)).Inc()
		s.waits.on(s.store.dialect.name(), err)
		return false
	}
	return false
}

// attempt sends the letters that are due and applies the batch.
func (s *Sink) attempt(ctx context.Context, w *writer, j *job) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
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

// drop leaves out of b what belongs to revoked claims.
func (b *batch) drop() {
	b.moves = slices.DeleteFunc(b.moves, func(m move) bool { return m.claim.revoked.Load() })
	b.changes = slices.DeleteFunc(b.changes, func(x change) bool { return x.claim.revoked.Load() })
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
	for i := range b.changes {
		s.metrics.records.WithLabelValues(b.changes[i].table.stream).Inc()
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
