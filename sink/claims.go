package sink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/mutant"
	"github.com/millrace-io/millrace/topics"
)

// assigned claims newly assigned partitions in the database and says where to go on in each. It is called by the client before it
// fetches from them; the offsets that it is given are the group's, which only lag tools read.
func (s *Sink) assigned(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	infos, err := s.partitions(ctx, slices.Sorted(maps.Keys(offsets))...)
	if err != nil {
		return nil, err
	}
	out := make(map[string]map[int32]kgo.Offset, len(offsets))
	for topic, parts := range offsets {
		out[topic] = make(map[int32]kgo.Offset, len(parts))
		for part := range parts {
			tp := topicPartition{topic, part}
			c, err := s.take(ctx, tp, infos[tp])
			if err != nil {
				return nil, err
			}
			if mutant.Off(mutant.ExpectedOffset) {
				c.next = max(parts[part].EpochOffset().Offset, infos[tp].start)
				c.polled = c.next
			}
			out[topic][part] = kgo.NewOffset().At(c.next)
		}
	}
	return out, nil
}

// take claims one partition, waiting for the database as long as ctx lets it.
func (s *Sink) take(ctx context.Context, tp topicPartition, info partition) (*claim, error) {
	topic, part := tp.topic, tp.part
	at := (int(part) + int(topicHash(topic))) % len(s.writers)
	var c *claim
	err := s.persist(ctx, s.store.dialect.name(), func(ctx context.Context) error {
		c = &claim{topic: topic, part: part, table: s.tables[topic], writer: at}
		if err := s.writers[at].connect(ctx); err != nil {
			return err
		}
		for {
			err := s.store.claim(ctx, c, info, s.writers[at].id)
			lost, ok := errors.AsType[*PositionError](err)
			if !ok || lost.Recreated || lost.Next <= info.end {
				return err
			}
			infos, failed := s.partitions(ctx, topic) // the owner before us may have gone on since the end was asked for
			if failed != nil {
				return failed
			}
			if info = infos[tp]; lost.Next > info.end {
				return err
			}
		}
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if mustStop(err) {
			s.stop(err)
		}
		return nil, err
	}
	c.polled = c.next
	s.claims[tp] = c
	s.env.Log.Debug("claimed", "topic", topic, "partition", part, "next_offset", c.next)
	return c, nil
}

// topicHash spreads the partitions of several topics over the writers.
func topicHash(topic string) uint8 {
	var sum uint8
	for _, b := range []byte(topic) {
		sum += b
	}
	return sum
}

// partitions asks for the ids of topics and the bounds of their partitions.
func (s *Sink) partitions(ctx context.Context, names ...string) (map[topicPartition]partition, error) {
	details, err := s.adm.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	starts, err := s.adm.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list start offsets: %w", err)
	}
	ends, err := s.adm.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list end offsets: %w", err)
	}
	out := map[topicPartition]partition{}
	for topic, detail := range details {
		if detail.Err != nil {
			return nil, fmt.Errorf("topic %s: %w", topic, detail.Err)
		}
		for part := range detail.Partitions {
			start, ok1 := starts.Lookup(topic, part)
			end, ok2 := ends.Lookup(topic, part)
			if !ok1 || !ok2 || start.Err != nil || end.Err != nil {
				return nil, fmt.Errorf("%s[%d]: no offsets: %w", topic, part, errors.Join(start.Err, end.Err))
			}
			out[topicPartition{topic, part}] = partition{topicID: detail.ID, start: start.Offset, end: end.Offset}
		}
	}
	return out, nil
}

// gone gives partitions up: revoked ones are released, so that the next owner need not wait for anything of ours.
func (s *Sink) gone(ctx context.Context, parts map[string][]int32, revoked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var claims []*claim
	for topic, list := range parts {
		for _, part := range list {
			tp := topicPartition{topic, part}
			if c := s.claims[tp]; c != nil {
				c.revoked.Store(true)
				claims = append(claims, c)
			}
			delete(s.claims, tp)
		}
	}
	if !revoked {
		if len(claims) > 0 {
			s.env.Log.Warn("partitions lost: another sink takes over", "group", topics.SinkGroup(s.pipeline.Name), "partitions", len(claims))
		}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := s.client.CommitMarkedOffsets(ctx); err != nil {
		s.env.Log.Debug("offsets for lag tools not committed", "error", err)
	}
	if err := s.store.release(ctx, claims); err != nil {
		s.env.Log.Debug("claims not released; whoever takes over will claim all the same", "error", err)
	}
}

// fenced lets partitions go that another sink has claimed. If the group still assigns them to us after its members have
// had time to hear otherwise, we claim them again: then it was the other who was late.
func (s *Sink) fenced(partitions []string, b *batch) {
	s.env.Log.Warn("fenced: another sink has taken over; nothing of it was written", "partitions", partitions)
	s.metrics.fenced.Inc()
	wait := s.cfg.SessionTimeout/2 + rand.N(s.cfg.SessionTimeout/4)
	for _, m := range b.moves {
		if slices.Contains(partitions, m.claim.String()) {
			m.claim.reclaim = time.Now().Add(wait)
			m.claim.revoked.Store(true)
		}
	}
	s.anyFenced.Store(true)
}

// reclaim claims again what is due, and has the client go on there. A revocation between the two does no harm: the client then skips
// partitions that it has no more, and what it has anew it polls from a later offset.
func (s *Sink) reclaim(ctx context.Context) {
	if again := s.claimAgain(ctx); len(again) > 0 {
		s.client.SetOffsets(again)
	}
}

func (s *Sink) claimAgain(ctx context.Context) map[string]map[int32]kgo.EpochOffset {
	if !s.anyFenced.Swap(false) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]map[int32]kgo.EpochOffset{}
	for _, c := range s.claims {
		if c.revoked.Load() {
			s.anyFenced.Store(true) // until it is ours again, or another's
		}
		if !c.revoked.Load() || time.Now().Before(c.reclaim) {
			continue
		}
		now, err := s.takeAgain(ctx, c)
		if err != nil {
			s.env.Log.Warn("not claimed again yet", "topic", c.topic, "partition", c.part, "error", err)
			c.reclaim = time.Now().Add(s.cfg.SessionTimeout / 2)
			continue
		}
		if out[c.topic] == nil {
			out[c.topic] = map[int32]kgo.EpochOffset{}
		}
		out[c.topic][c.part] = kgo.EpochOffset{Epoch: -1, Offset: now.next}
		s.env.Log.Info("claimed again: the group still assigns it to us", "topic", c.topic, "partition", c.part, "next_offset", now.next)
	}
	return out
}

func (s *Sink) takeAgain(ctx context.Context, c *claim) (*claim, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	infos, err := s.partitions(ctx, c.topic)
	if err != nil {
		return nil, err
	}
	tp := topicPartition{c.topic, c.part}
	return s.take(ctx, tp, infos[tp])
}
