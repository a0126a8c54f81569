package sink

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

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

// reclaim claims again what is due, and has the client go on there. A revocation between the two does no harm: the
// client then skips partitions that it has no more, and what it has anew it polls from a later offset.
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
		now, err := s.claimOneAgain(ctx, c)
		if err != nil {
			s.env.Log.Warn("not claimed again yet", "topic", c.topic, "partition", c.partition, "err", err)
			c.reclaim = time.Now().Add(s.cfg.SessionTimeout / 2)
			continue
		}
		if out[c.topic] == nil {
			out[c.topic] = map[int32]kgo.EpochOffset{}
		}
		out[c.topic][c.partition] = kgo.EpochOffset{Epoch: -1, Offset: now.next}
		s.env.Log.Info("claimed again: the group still assigns it to us", "topic", c.topic, "partition", c.partition, "next_offset", now.next)
	}
	return out
}

func (s *Sink) claimOneAgain(ctx context.Context, c *claim) (*claim, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	infos, err := s.partitions(ctx, c.topic)
	if err != nil {
		return nil, err
	}
	tp := topicPartition{c.topic, c.partition}
	return s.claimPartition(ctx, tp, infos[tp])
}
