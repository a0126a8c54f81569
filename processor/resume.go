package processor

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// next is where a partition goes on; see [control.Stream.GoOn].
func (s *stream) next(partition int32, o kadm.Offset, ok bool) (int64, error) {
	return s.decided.GoOn(s.position.RawTopicID, partition, o.At, o.Metadata, ok)
}

// assigned says where partitions go on. It is called by the client, beside the session's goroutine; nothing is fetched
// before it has returned.
func (s *session) assigned(ctx context.Context, at map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	select {
	case <-s.planned:
	case <-s.closing:
		return nil, context.Canceled
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	of := map[string][]int32{}
	for topic, partitions := range at {
		if len(partitions) > 0 {
			of[topic] = slices.Sorted(maps.Keys(partitions))
		}
	}
	if len(of) == 0 {
		return at, nil
	}
	committed, err := admin.Committed(ctx, s.p.cl, s.p.group, of)
	if err != nil {
		return nil, err
	}
	out := map[string]map[int32]kgo.Offset{}
	for topic, partitions := range of {
		if out[topic], err = s.goOn(ctx, topic, partitions, committed[topic]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// goOn says where partitions of a topic go on after what is committed. Where that was changed by others, the stream has
// no position, and nothing of it is fetched.
func (s *session) goOn(ctx context.Context, topic string, partitions []int32, committed map[int32]kadm.Offset) (map[int32]kgo.Offset, error) {
	run := s.streams[topic]
	out, lost := map[int32]kgo.Offset{}, map[int32]int64{}
	for _, partition := range partitions {
		o, ok := committed[partition]
		next, err := run.next(partition, o, ok)
		switch {
		case errors.Is(err, control.ErrMoved):
			lost[partition] = o.At
		case err != nil:
			return nil, fmt.Errorf("%s[%d]: %w", topic, partition, err)
		}
		out[partition] = kgo.NewOffset().AtStart()
		if err == nil && next != control.AtStart {
			out[partition] = kgo.NewOffset().At(next)
		}
		if ok && err == nil && next == o.At && !run.stands {
			out[partition] = out[partition].WithEpoch(o.LeaderEpoch)
		}
		if s.p.decided.isGap(topic, partition, run.decided.Run.Number) {
			s.kafka.Client().PauseFetchPartitions(map[string][]int32{topic: {partition}})
		}
	}
	if len(lost) > 0 && !run.stands {
		s.kafka.Client().PauseFetchTopics(topic)
		if err := s.p.lose(ctx, run, lost); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// lose decides that a stream has no position to go on from.
func (p *Processor) lose(ctx context.Context, run *stream, offsets map[int32]int64) error {
	_, err := control.Change(ctx, p.decided.cfg, run.name, func(s *control.Stream) error {
		if s.Run.Number != run.decided.Run.Number || s.Live == 0 {
			return control.ErrUnchanged // it was answered meanwhile
		}
		if s.Lost != nil && maps.Equal(s.Moved, offsets) {
			return control.ErrUnchanged
		}
		moved := maps.Clone(s.Moved)
		if moved == nil {
			moved = map[int32]int64{}
		}
		maps.Copy(moved, offsets)
		s.Moved = moved
		s.Lost = &control.Lost{At: time.Now(), Why: fmt.Sprintf("the positions of the group %s were changed by another program: %s",
			p.group, movedText(offsets))}
		return nil
	})
	if err != nil {
		return fmt.Errorf("stream %s: its positions were changed: decide: %w", run.name, err)
	}
	return nil
}

// movedText names offsets, by partition.
func movedText(offsets map[int32]int64) (text string) {
	for i, partition := range slices.Sorted(maps.Keys(offsets)) {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("partition %d was set to %d", partition, offsets[partition])
	}
	return text
}

// stamp completes what is committed: an offset counts only in its topic and run.
func (s *session) stamp(req *kmsg.TxnOffsetCommitRequest) error {
	for i := range req.Topics {
		t := &req.Topics[i]
		run := s.streams[t.Topic]
		if id := hex.EncodeToString(t.TopicID[:]); t.TopicID != ([16]byte{}) && id != run.position.RawTopicID {
			return fmt.Errorf("commit: the topic %s is another than when the session began", t.Topic)
		}
		for j := range t.Partitions {
			t.Partitions[j].Metadata = &run.metadata
		}
	}
	return nil
}
