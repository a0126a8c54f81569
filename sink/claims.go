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
	out := make(map[string]map[int32]kgo.Offset, len(offsets))
	for topic, list := range offsets {
		out[topic] = make(map[int32]kgo.Offset, len(list))
		for partition := range list {
			tp := topicPartition{topic, partition}
			c, err := s.claimPartition(ctx, tp, infos[tp])
			if err != nil {
				return nil, err
			}
			out[topic][partition] = kgo.NewOffset().At(c.next)
		}
	}
	return out, nil
}

// claimPartition claims one partition, waiting for the database as long as ctx lets it.
func (s *Sink) claimPartition(ctx context.Context, tp topicPartition, info bounds) (*claim, error) {
	topic, partition := tp.topic, tp.partition
	at := (int(partition) + int(topicHash(topic))) % len(s.writers)
	var c *claim
	err := s.persist(ctx, s.store.dialect.Name(), "claims", func(ctx context.Context) error {
		c = &claim{topic: topic, partition: partition, table: s.tables[topic], writer: at}
		if err := s.writers[at].connect(ctx); err != nil {
			return err
		}
		for {
			err := s.store.claim(ctx, c, info, s.writers[at].session.ID)
			lost, ok := errors.AsType[*PositionError](err)
			if !ok || lost.Recreated || lost.Next <= info.end {
				return err
			}
			// The owner before us may have gone on since the end was asked for.
			infos, failed := s.partitions(ctx, topic)
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
	s.env.Log.Debug("claimed", "topic", topic, "partition", partition, "next_offset", c.next)
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
			s.env.Log.Warn("partitions lost: another sink takes over", "group", topics.SinkGroup(s.pipeline.Name), "partitions", len(claims))
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
