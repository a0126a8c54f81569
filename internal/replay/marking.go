package replay

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/internal/drive"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// errLost says that live processing has no position at the moment.
var errLost = errors.New("the processors' positions are lost: the cut is read once a processor continues")

// mark is the state marking: it has removals leave marks, fences what works by the logic of before, reads the cut, and
// decides that the redo runs. Each of these may be repeated. The cut is read last: a removal that it does not cover is
// written by a sink that marks, and a record that it covers was processed, by whatever logic, before the redo's come.
func (r *Replay) mark(ctx context.Context, s *control.Stream) error {
	redo := *s.Redo
	if err := r.Persist(ctx, drive.Database, "marking", func(ctx context.Context) error {
		return r.DB.SetMarking(ctx, r.Stream.Name, redo.Generation, true)
	}); err != nil {
		return err
	}
	running := false
	if err := r.Persist(ctx, drive.Kafka, "cut", func(ctx context.Context) (err error) {
		if redo.Fence {
			if _, err := admin.Fence(ctx, r.Client, topics.ProcessorTransactionalIDs(r.Pipeline.Name)); err != nil {
				return err
			}
		}
		cut, err := r.cut(ctx, redo)
		if err != nil {
			return err
		}
		running, err = r.change(ctx, redo.Generation, control.Marking, func(s *control.Stream) {
			s.Redo.State, s.Redo.Cut = control.Running, cut
		})
		return err
	}); err != nil || running {
		return err
	}
	// Another process was faster. If it has even ended the redo, marks must not stay on.
	now, err := r.Decided(ctx)
	if err != nil {
		return err
	}
	if now.Redo == nil || now.Redo.First != redo.First {
		return r.DB.SetMarking(ctx, r.Stream.Name, redo.Generation, false)
	}
	return nil
}

// cut is how far live processing has come, by partition. It waits for transactions that are about to commit.
func (r *Replay) cut(ctx context.Context, redo control.Redo) (map[int32]int64, error) {
	s, err := r.Decided(ctx)
	if err != nil {
		return nil, err
	}
	if s.Lost != nil {
		return nil, errLost
	}
	id, err := r.rawTopicID(ctx)
	if err != nil {
		return nil, err
	}
	if id != redo.RawTopicID {
		return nil, ErrRecreated
	}
	committed, err := admin.Cut(ctx, r.Client, topics.ProcessorGroup(r.Pipeline.Name), r.raw())
	if err != nil {
		return nil, err
	}
	cut := map[int32]int64{}
	for partition := range r.Pipeline.Kafka.Partitions {
		o, ok := committed[partition]
		next, err := s.GoOn(id, partition, o.At, o.Metadata, ok)
		if err != nil { // something was decided meanwhile, or is about to be
			return nil, fmt.Errorf("%s[%d]: %w", r.raw(), partition, errLost)
		}
		cut[partition] = max(next, 0)
	}
	return cut, nil
}
