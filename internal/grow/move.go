package grow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// wasBytes is how much larger a raw record is that says where it was.
const wasBytes = 256

// move makes the partitions and writes the raw records again.
func (g *grower) move(ctx context.Context) error {
	if _, err := admin.Fence(ctx, g.Client, topics.ProcessorTransactionalIDs(g.Pipeline.Name)); err != nil {
		return err
	}
	for i := range g.Pipeline.Streams {
		s := &g.Pipeline.Streams[i]
		if err := g.partitions(ctx, s); err != nil {
			return err
		}
		if err := g.room(ctx, s); err != nil {
			return err
		}
		n, err := g.copy(ctx, s)
		if err != nil {
			return fmt.Errorf("stream %s: write its raw records again: %w", s.Name, err)
		}
		g.Tell("%s: %d raw records are written again, to %d partitions", s.Name, n, g.To)
	}
	next, err := g.verify(ctx)
	if err != nil {
		return err
	}
	return g.advance(ctx, control.GrowMoving, func(name string, s *control.Stream) error {
		s.Grow.State, s.Grow.Next = control.GrowCutting, next[name]
		return nil
	})
}

// partitions gives the topics of a stream their partitions, and waits until the brokers have them.
func (g *grower) partitions(ctx context.Context, s *pipeline.Stream) error {
	name := g.Pipeline.Name
	for _, topic := range []string{topics.Raw(name, s.Name), topics.Processed(name, s.Name), topics.DeadLetters(name, s.Name)} {
		if _, err := backoff.Retry(ctx, func() (struct{}, error) {
			return struct{}{}, g.give(ctx, topic)
		}, backoff.WithMaxElapsedTime(time.Minute)); err != nil {
			return fmt.Errorf("topic %s: give it %d partitions: %w", topic, g.To, err)
		}
	}
	return nil
}

// give gives a topic its partitions; the error says that they are not there yet.
func (g *grower) give(ctx context.Context, topic string) error {
	d, err := admin.Topic(ctx, g.adm, topic)
	if err != nil {
		return err
	}
	if int32(len(d.Partitions)) < g.To {
		made, err := g.adm.UpdatePartitions(ctx, int(g.To), topic)
		if err == nil {
			_, err = made.On(topic, func(r *kadm.CreatePartitionsResponse) error { return r.Err })
		}
		if errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed) {
			return backoff.Permanent(fmt.Errorf("%w; allow this user Alter on the topic", err))
		}
		if err != nil {
			return err
		}
		return errors.New("the brokers do not know all partitions yet")
	}
	for n, p := range d.Partitions {
		if p.Err != nil {
			return fmt.Errorf("partition %d: %w", n, p.Err)
		}
	}
	return nil
}

// cut deletes the records of before, and lets the stages go on.
func (g *grower) cut(ctx context.Context) error {
	table, err := g.openTable()
	if err != nil {
		return err
	}
	defer table.Close()
	if err := g.quiet(ctx); err != nil {
		return err
	}
	if err := g.synced(ctx); err != nil {
		return err
	}
	for i := range g.Pipeline.Streams {
		s := &g.Pipeline.Streams[i]
		if err := table.Moved(ctx, s.Name); err != nil {
			return err
		}
		raw := kadm.Offsets{}
		for n, at := range g.grow(s.Name).First {
			raw.Add(kadm.Offset{Topic: topics.Raw(g.Pipeline.Name, s.Name), Partition: n, At: at})
		}
		processed, err := g.applied(ctx, table, s.Name)
		if err != nil {
			return err
		}
		for _, offsets := range []kadm.Offsets{raw, processed} {
			if err := g.forget(ctx, offsets); err != nil {
				return err
			}
		}
		if err := g.roomNoMore(ctx, s); err != nil {
			return err
		}
	}
	if err := g.advance(ctx, control.GrowCutting, g.end); err != nil {
		return err
	}
	_, err = admin.Fence(ctx, g.Client, topics.ProcessorTransactionalIDs(g.Pipeline.Name))
	return err
}

// applied are the offsets of a stream's processed topic below which the table has all. A database that is restored from
// before would read old and new partitions at the same time: without these records it stops, and `millrace recover` has
// all processed again.
func (g *grower) applied(ctx context.Context, table *sink.Admin, stream string) (kadm.Offsets, error) {
	topic := topics.Processed(g.Pipeline.Name, stream)
	d, err := admin.Topic(ctx, g.adm, topic)
	if err != nil {
		return nil, err
	}
	positions, err := table.Positions(ctx, stream)
	if err != nil {
		return nil, err
	}
	out := kadm.Offsets{}
	for n, at := range positions {
		if n < g.grow(stream).From && at.TopicID == [16]byte(d.ID) {
			out.Add(kadm.Offset{Topic: topic, Partition: n, At: at.Next})
		}
	}
	return out, nil
}

// forget deletes records below these offsets.
func (g *grower) forget(ctx context.Context, offsets kadm.Offsets) error {
	if len(offsets) == 0 {
		return nil
	}
	deleted, err := g.adm.DeleteRecords(ctx, offsets)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		return fmt.Errorf("delete the records of before: %w; this user needs Delete on the topics", err)
	}
	return nil
}

// end is the decision that it is done.
func (g *grower) end(_ string, s *control.Stream) error {
	now := time.Now().UTC().Truncate(time.Second)
	last := s.Epochs[len(s.Epochs)-1]
	s.Epochs = append(s.Epochs, control.Epoch{
		Number: last.Number + 1, RawTopicID: s.Grow.RawTopicID, ProcessedTopicID: last.ProcessedTopicID, At: now,
	})
	s.Run = control.Run{
		Number: s.Run.Number + 1, From: s.Grow.Next, At: now, ProcessedTopicID: s.Run.ProcessedTopicID,
		Why: fmt.Sprintf("the topics were given %d partitions", s.Grow.To),
	}
	s.Moved, s.Partitions, s.Grow = nil, s.Grow.To, nil
	s.Reset.Fenced++
	return nil
}
