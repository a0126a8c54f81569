package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/internal/drive"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// ErrNone says that no redo is under way.
var ErrNone = errors.New("no replay is under way")

// Pause has all that take part stand, or go on.
func (r *Replay) Pause(ctx context.Context, paused bool) (control.Redo, error) {
	return r.alter(ctx, func(s *control.Stream) bool {
		changed := s.Redo.Paused != paused
		s.Redo.Paused = paused
		return changed
	})
}

// Limit sets how many records a second all that take part process; 0: no limit.
func (r *Replay) Limit(ctx context.Context, rate int) (control.Redo, error) {
	return r.alter(ctx, func(s *control.Stream) bool {
		changed := s.Redo.Rate != rate
		s.Redo.Rate = rate
		return changed
	})
}

// ErrAborted says that somebody ended a redo before all was processed again.
var ErrAborted = errors.New("the replay was aborted before all was processed again: the rows that it had not come to are as they were")

// Abort decides that a redo ends wherever it is. [Replay.Run] then ends it.
func (r *Replay) Abort(ctx context.Context) (control.Redo, error) {
	return r.alter(ctx, func(s *control.Stream) bool {
		changed := !s.Redo.Aborted
		s.Redo.State, s.Redo.Aborted = control.Ending, true
		if g := s.Generation(s.Redo.First); g != nil {
			g.Aborted = true
		}
		return changed
	})
}

// Ended says how a redo has ended that has this first generation: nil, or [ErrAborted]. It waits for brokers that are
// away.
func (r *Replay) Ended(ctx context.Context, first uint16) error {
	aborted := false
	err := r.Persist(ctx, drive.Kafka, "control", func(ctx context.Context) error {
		s, err := r.Decided(ctx)
		if err == nil {
			g := s.Generation(first)
			aborted = g != nil && g.Aborted
		}
		return err
	})
	if err == nil && aborted {
		err = fmt.Errorf("stream %s: %w", r.Stream.Name, ErrAborted)
	}
	return err
}

func (r *Replay) alter(ctx context.Context, f func(*control.Stream) bool) (control.Redo, error) {
	s, err := control.Change(ctx, r.Control, r.Stream.Name, func(s *control.Stream) error {
		if s.Redo == nil {
			return fmt.Errorf("stream %s: %w", r.Stream.Name, ErrNone)
		}
		if !f(s) {
			return control.ErrUnchanged
		}
		return nil
	})
	if err != nil {
		return control.Redo{}, err
	}
	return *s.Redo, nil
}

// Status is a redo under way.
type Status struct {
	Stream     string            `json:"stream"`
	Generation uint16            `json:"generation"` // of its rows
	First      uint16            `json:"first"`      // of its first round
	Live       uint16            `json:"live"`       // the generation by which records are processed as they come
	State      control.RedoState `json:"state"`
	Paused     bool              `json:"paused"`
	At         time.Time         `json:"at"`
	By         string            `json:"by"`
	Rate       int               `json:"rate,omitempty"`    // records a second; 0: no limit
	Keys       []string          `json:"keys,omitempty"`    // nil: all
	Attempt    int               `json:"attempt,omitempty"` // as in control.Redo
	Done       int64             `json:"done"`              // raw offsets below the cut that are behind
	All        int64             `json:"all"`
	Pace       drive.Pace        `json:"pace,omitzero"` // of Done; whoever looks twice knows it
	Members    int               `json:"members"`       // sessions that take part
	Lag        int64             `json:"sink_lag"`      // processed records that the sinks have to write
	Partitions []PartitionStatus `json:"partitions,omitempty"`
}

// PartitionStatus is a partition of a redo.
type PartitionStatus struct {
	Partition int32 `json:"partition"`
	Next      int64 `json:"next"` // raw offset
	Cut       int64 `json:"cut"`
	From      int64 `json:"from"` // of what was asked for
	To        int64 `json:"to"`
}

// Status asks how far a redo is. The error may be [ErrNone].
func (r *Replay) Status(ctx context.Context) (Status, error) {
	s, err := r.Decided(ctx)
	if err != nil {
		return Status{}, err
	}
	if s.Redo == nil {
		return Status{}, fmt.Errorf("stream %s: %w", r.Stream.Name, ErrNone)
	}
	redo := s.Redo
	out := Status{
		Stream: r.Stream.Name, Generation: redo.Generation, First: redo.First, Live: s.Live, State: redo.State, Paused: redo.Paused, At: redo.At, By: redo.By,
		Rate: redo.Rate, Keys: redo.Keys, Attempt: redo.Attempt,
	}
	adm := kadm.NewClient(r.Client)
	if groups, err := adm.DescribeGroups(ctx, topics.ReplayGroup(r.Pipeline.Name, r.Stream.Name)); err == nil {
		for _, g := range groups {
			out.Members += len(g.Members)
		}
	}
	if ends, err := adm.ListEndOffsets(ctx, topics.Processed(r.Pipeline.Name, r.Stream.Name)); err == nil && ends.Error() == nil {
		if out.Lag, err = r.unwritten(ctx, ends); err != nil {
			return out, err
		}
	}
	if redo.State == control.Marking || len(redo.Cut) == 0 {
		return out, nil
	}
	at, err := r.reached(ctx, *redo)
	if err != nil {
		return out, r.advised(err)
	}
	progress := newMeter(*redo).progress(time.Now(), processor.RedoProgress{}, at)
	out.Done, out.All = progress.Done, progress.All
	for _, partition := range slices.Sorted(maps.Keys(redo.Cut)) {
		p := PartitionStatus{Partition: partition, Cut: redo.Cut[partition], Next: max(at.next[partition], at.start[partition])}
		p.From, p.To = at.start[partition], p.Cut
		if from, ok := redo.From[partition]; ok {
			p.From = min(max(from, p.From), p.Cut)
		}
		if to, ok := redo.To[partition]; ok {
			p.To = min(max(to, p.From), p.Cut)
		}
		out.Partitions = append(out.Partitions, p)
	}
	return out, nil
}
