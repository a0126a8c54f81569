package sink

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// fenced lets partitions go that another sink has claimed. If the group still assigns them to us after its members have
// had time to hear otherwise, we claim them again: then it was the other who was late. What nobody owns we claim at
// once.
func (s *Sink) fenced(e *FencedError, b *batch) {
	if len(e.Open) < len(e.Partitions) {
		s.env.Log.Warn("fenced: another sink has taken over; nothing of it was written", "partitions", e.Partitions)
	} else {
		s.env.Log.Info("claims were taken back, and nothing of it was written: claiming again", "partitions", e.Partitions)
	}
	s.metrics.fenced.Inc()
	wait := s.cfg.SessionTimeout/2 + rand.N(s.cfg.SessionTimeout/4)
	for _, m := range b.moves {
		name := m.claim.String()
		if !slices.Contains(e.Partitions, name) {
			continue
		}
		if m.claim.reclaim = time.Now(); !slices.Contains(e.Open, name) {
			m.claim.reclaim = m.claim.reclaim.Add(wait)
		}
		m.claim.revoked.Store(true)
	}
	s.anyFenced.Store(true)
}

// reclaim claims again what is due, and has the client go on there. A revocation between the two does no harm: the
// client then skips partitions that it has no more, and what it has again it polls from a later offset.
func (s *Sink) reclaim(ctx context.Context) {
	if again := s.claimAgain(ctx); len(again) > 0 {
		s.client.SetOffsets(again)
	}
	if due := s.parking.topics(true); len(due) > 0 {
		s.mu.RLock()
		defer s.mu.RUnlock()
		for _, topic := range due {
			s.unpark(topic)
		}
	}
}

func (s *Sink) claimAgain(ctx context.Context) map[string]map[int32]kgo.EpochOffset {
	if !s.anyFenced.Swap(false) && len(s.parking.topics(true)) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []*claim
	for _, c := range s.claims {
		if waits, ready := s.parking.has(c.topic); c.revoked.Load() && (!waits || ready) {
			s.anyFenced.Store(true) // until it is ours again, or another's
			if !time.Now().Before(c.reclaim) {
				due = append(due, c)
			}
		}
	}
	if len(due) == 0 {
		return nil
	}
	if err := s.claimDue(ctx, due); err != nil {
		if ctx.Err() == nil { // else whoever takes over claims them
			s.env.Log.Warn("not claimed again yet", "partitions", len(due), "first", due[0].String(), "err", err)
		}
		for _, c := range due {
			c.reclaim = time.Now().Add(s.cfg.SessionTimeout / 2)
		}
		return nil
	}
	out := map[string]map[int32]kgo.EpochOffset{}
	for _, c := range due {
		now := s.claims[topicPartition{c.topic, c.partition}]
		if now.revoked.Load() {
			continue // its position is lost: its stream waits
		}
		if out[c.topic] == nil {
			out[c.topic] = map[int32]kgo.EpochOffset{}
		}
		out[c.topic][c.partition] = kgo.EpochOffset{Epoch: -1, Offset: now.next}
		if waits, _ := s.parking.has(c.topic); waits {
			continue
		}
		s.env.Log.Info("claimed again: the group still assigns it to us", "topic", c.topic, "partition", c.partition, "next_offset", now.next)
	}
	return out
}

// claimDue claims partitions again, in the time of an attempt: a revocation waits for it.
func (s *Sink) claimDue(ctx context.Context, due []*claim) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	var wanted []topicPartition
	var names []string
	for _, c := range due {
		wanted, names = append(wanted, topicPartition{c.topic, c.partition}), append(names, c.topic)
	}
	slices.Sort(names)
	infos, err := s.partitions(ctx, slices.Compact(names)...)
	if err != nil {
		return err
	}
	return s.claimAll(ctx, wanted, infos)
}
