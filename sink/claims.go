package sink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics"
)

// assigned claims newly assigned partitions in the database and says where to go on in each. It is called by the
// client before it fetches from them; the offsets that it is given are the group's, which only lag tools read.
func (s *Sink) assigned(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	infos, err := s.partitions(ctx, slices.Sorted(maps.Keys(offsets))...)
	if err != nil {
		return nil, err
	}
	var wanted []topicPartition
	for topic, list := range offsets {
		waits, _ := s.parking.has(topic)
		for partition := range list {
			if tp := (topicPartition{topic, partition}); waits {
				s.hold(tp)
			} else {
				wanted = append(wanted, tp)
			}
		}
	}
	if err := s.claimAll(ctx, wanted, infos); err != nil {
		return nil, err
	}
	out := make(map[string]map[int32]kgo.Offset, len(offsets))
	for topic, list := range offsets {
		out[topic] = make(map[int32]kgo.Offset, len(list))
		for partition := range list {
			out[topic][partition] = kgo.NewOffset().At(s.claims[topicPartition{topic, partition}].next)
		}
	}
	return out, nil
}

// hold keeps the place of a partition that the group assigns to us and that is claimed later: its stream waits. Its
// topic is paused, so its offset counts for nothing.
func (s *Sink) hold(tp topicPartition) {
	c := &claim{topic: tp.topic, partition: tp.partition, table: s.tables.of(tp.topic)}
	c.revoked.Store(true)
	s.claims[tp] = c
}

// claimAll claims partitions, waiting for the database as long as ctx lets it. Those whose position is lost are held,
// and their streams parked. s.mu is held.
func (s *Sink) claimAll(ctx context.Context, wanted []topicPartition, infos map[topicPartition]bounds) error {
	if len(wanted) == 0 {
		return nil
	}
	var bids []*bid
	err := s.persist(ctx, s.store.dialect.Name(), "claims", func(ctx context.Context) (err error) {
		if bids, err = s.bids(ctx, wanted, infos); err != nil {
			return err
		}
		if err = s.claim(ctx, bids); err != nil {
			return err
		}
		return s.claimBehind(ctx, bids)
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if mustStop(err) {
			s.stop(err)
		}
		return err
	}
	s.settle(bids)
	s.beginFill(ctx, bids)
	return nil
}

// settle notes claims that were made, parks the streams of those that were not, and tells what became of their tables.
func (s *Sink) settle(bids []*bid) {
	lost := map[string]error{} // by topic: one word for all its partitions
	for _, b := range bids {
		tp := topicPartition{b.topic, b.partition}
		switch first, also := errors.AsType[*PositionError](lost[b.topic]); {
		case b.lost == nil:
			s.claims[tp] = b.claim
			s.env.Log.Debug("claimed", "topic", b.topic, "partition", b.partition, "next_offset", b.next, "epoch", b.epoch)
		case also:
			first.Also = append(first.Also, b.partition)
		case lost[b.topic] == nil:
			lost[b.topic] = b.lost
		}
		if b.lost != nil {
			s.hold(tp)
		} else if why := b.begins(); why != "" {
			s.notices.Raise(b.table.Stream, "begun_anew", why, "table", b.table.Name, "epoch", b.epoch)
		}
	}
	for topic, first := range lost {
		s.park(topic, first)
	}
}

// bids are new claims on partitions, each with its writer, whose session is opened if there is none.
func (s *Sink) bids(ctx context.Context, wanted []topicPartition, infos map[topicPartition]bounds) ([]*bid, error) {
	out := make([]*bid, len(wanted))
	for i, tp := range wanted {
		at := (int(tp.partition) + int(topicHash(tp.topic))) % len(s.writers)
		if err := s.writers[at].connect(ctx); err != nil {
			return nil, err
		}
		out[i] = &bid{
			claim:  &claim{topic: tp.topic, partition: tp.partition, table: s.tables.of(tp.topic), writer: at},
			bounds: infos[tp], connection: s.writers[at].session.ID,
		}
	}
	return out, nil
}

// claimBehind claims those again whose position is past the end of their log: the owner before us may have gone on
// since the end was asked for.
func (s *Sink) claimBehind(ctx context.Context, bids []*bid) error {
	var behind []*bid
	var names []string
	for _, b := range bids {
		if lost, ok := errors.AsType[*PositionError](b.lost); ok && lost.Next > b.bounds.end {
			behind, names = append(behind, b), append(names, b.topic)
		}
	}
	if len(behind) == 0 {
		return nil
	}
	slices.Sort(names)
	infos, err := s.partitions(ctx, slices.Compact(names)...)
	if err != nil {
		return err
	}
	for _, b := range behind {
		b.bounds = infos[topicPartition{b.topic, b.partition}]
	}
	return s.claim(ctx, behind)
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
func (s *Sink) partitions(ctx context.Context, names ...string) (map[topicPartition]bounds, error) {
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
	out := map[topicPartition]bounds{}
	for topic, detail := range details {
		if detail.Err != nil {
			return nil, fmt.Errorf("topic %s: %w", topic, detail.Err)
		}
		for partition := range detail.Partitions {
			start, ok1 := starts.Lookup(topic, partition)
			end, ok2 := ends.Lookup(topic, partition)
			if !ok1 || !ok2 || start.Err != nil || end.Err != nil {
				return nil, fmt.Errorf("%s[%d]: no offsets: %w", topic, partition, errors.Join(start.Err, end.Err))
			}
			out[topicPartition{topic, partition}] = bounds{topicID: detail.ID, start: start.Offset, end: end.Offset}
		}
	}
	return out, nil
}

// gone gives partitions up: revoked ones are released, so that the next owner need not wait for anything of ours.
func (s *Sink) gone(ctx context.Context, partitions map[string][]int32, revoked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var claims []*claim
	for topic, list := range partitions {
		for _, partition := range list {
			tp := topicPartition{topic, partition}
			if c := s.claims[tp]; c != nil {
				c.revoked.Store(true)
				claims = append(claims, c)
			}
			delete(s.claims, tp)
		}
	}
	if !revoked {
		if len(claims) > 0 {
			s.env.Log.Warn("partitions lost: the group has not heard of this process in time, or its broker went away; whoever is assigned them continues where the rows are", "group", topics.SinkGroup(s.pipeline.Name), "partitions", len(claims))
		}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := s.client.CommitMarkedOffsets(ctx); err != nil {
		s.env.Log.Debug("offsets for lag tools not committed", "err", err)
	}
	if err := s.store.release(ctx, claims); err != nil {
		s.env.Log.Debug("claims not released; whoever takes over will claim all the same", "err", err)
	}
}
