package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/internal/drive"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// end is the state ending. Whoever still processes is fenced first, and who begins later sees the state: so all that
// the redo has produced lies below the end of the processed topic that is read then. Once the sinks are there, no older
// row of the redo can come any more, and marks may be as before.
func (r *Replay) end(ctx context.Context, redo control.Redo) error {
	var ends kadm.ListedOffsets
	if err := r.Persist(ctx, drive.Kafka, "end", func(ctx context.Context) (err error) {
		if _, err := admin.Fence(ctx, r.Client, topics.ReplayTransactionalIDs(r.Pipeline.Name, r.Stream.Name)); err != nil {
			return err
		}
		if ends, err = kadm.NewClient(r.Client).ListEndOffsets(ctx, topics.Processed(r.Pipeline.Name, r.Stream.Name)); err != nil {
			return err
		}
		return ends.Error()
	}); err != nil {
		return err
	}
	if err := r.written(ctx, redo, ends); err != nil {
		return err
	}
	if err := r.closeLetters(ctx, redo); err != nil {
		return err
	}
	if again, err := r.again(ctx, redo); again || err != nil {
		return err
	}
	if err := r.Persist(ctx, drive.Database, "marking", func(ctx context.Context) error {
		return r.DB.SetMarking(ctx, r.Stream.Name, redo.Generation, false)
	}); err != nil {
		return err
	}
	if err := r.Persist(ctx, drive.Kafka, "control", func(ctx context.Context) error {
		_, err := r.change(ctx, redo.Generation, control.Ending, func(s *control.Stream) { s.Redo = nil })
		return err
	}); err != nil {
		return err
	}
	// The group's positions say of which redo they are, so nobody minds those that stay if this fails.
	group := topics.ReplayGroup(r.Pipeline.Name, r.Stream.Name)
	if _, err := kadm.NewClient(r.Client).DeleteGroups(ctx, group); err != nil {
		r.Env.Log.Debug("the consumer group stays", "group", group, "err", err)
	}
	return nil
}

// written waits until the sinks have written the processed topic up to these ends. It tells of it from time to time.
func (r *Replay) written(ctx context.Context, redo control.Redo, ends kadm.ListedOffsets) error {
	told := time.Now()
	for {
		if s, err := r.Decided(ctx); err == nil && !same(s.Redo, redo) {
			return nil // it begins again, or was ended
		}
		left, err := r.unwritten(ctx, ends)
		if err != nil && needsOperator(err) {
			return err
		}
		if err == nil && left == 0 {
			return nil
		}
		if time.Since(told) >= tellEvery {
			told = time.Now()
			r.Env.Log.Info("all is processed again; waiting until the sinks have written it", "stream", r.Stream.Name,
				"generation", redo.Generation, "lag", left, "err", err)
		}
		if err := stage.Sleep(ctx, lookEvery); err != nil {
			return err
		}
	}
}

var errNoTopic = errors.New("the processed topic is not there")

// unwritten is how many processed records the sinks have to write before they are at the ends: 0 exactly if they are.
func (r *Replay) unwritten(ctx context.Context, ends kadm.ListedOffsets) (int64, error) {
	topic := topics.Processed(r.Pipeline.Name, r.Stream.Name)
	found, err := kadm.NewClient(r.Client).ListTopics(ctx, topic)
	if err != nil {
		return 0, err
	}
	if found[topic].Err != nil || !found.Has(topic) {
		return 0, errNoTopic
	}
	positions, err := r.DB.Positions(ctx, r.Stream.Name)
	if err != nil {
		return 0, err
	}
	behind := map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		at, ok := positions[end.Partition]
		if !ok || at.TopicID != [16]byte(found[topic].ID) {
			at.Next = -1
		}
		if at.Next < end.Offset {
			behind[end.Partition] = at.Next
		}
	})
	if len(behind) == 0 {
		return 0, nil
	}
	left, err := admin.Remaining(ctx, r.Client, map[string]map[int32]int64{topic: behind}) // only markers may be left
	if err != nil {
		return 0, fmt.Errorf("what the sinks have to write: %w", err)
	}
	return left, nil
}
