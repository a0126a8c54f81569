package processor

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// KeyError says that the file gives raw keys other rows than those that they have in its table. The table would have
// rows of two kinds, of which the old ones are never removed. Nothing is processed by such a file.
type KeyError struct{ Stream, Table string }

func (e *KeyError) Error() string {
	return fmt.Sprintf("stream %s: the file makes other keys of the records than the rows of the table %s have, which would stay there for ever",
		e.Stream, e.Table)
}

// facts are what a process knows of a stream beside what is decided about it.
type facts struct {
	stream           *pipeline.Stream
	line             bool // it is of a line, and not of a pipeline file
	logic, key       string
	rawTopicID       string // hexadecimal
	processedTopicID string // as well
	by               string
	viewed           *control.Stream       // what was decided when register was asked
	group            map[int32]kadm.Offset // what is committed of the raw topic; of a stream that was not known then
}

func factsOf(p *pipeline.Pipeline, s *pipeline.Stream, rawTopicID, processedTopicID kadm.TopicID, by string) *facts {
	f := &facts{stream: s, line: p.Line != nil, rawTopicID: hex.EncodeToString(rawTopicID[:]), processedTopicID: hex.EncodeToString(processedTopicID[:]), by: by}
	f.logic, f.key = s.Logic()
	return f
}

// conflicts reports whether the file has the table of the live generation, and other keys.
func (f *facts) conflicts(s *control.Stream) bool {
	live := s.Generation(s.Live)
	if live == nil || live.Key == f.key {
		return false
	}
	defined, err := f.stream.Defined(live.Definition)
	return err != nil || defined.Sink.Table == f.stream.Sink.Table
}

// kept reports whether the stream goes on with the logic that it has, although the file has another: see
// [control.Stream.Keeps].
func (f *facts) kept(s *control.Stream) bool { return !f.line && s.Keeps(f.logic) }

// known reports whether there is nothing to decide.
func (f *facts) known(s *control.Stream) bool {
	_, epoch := s.Epoch(f.rawTopicID)
	return epoch && len(s.Generations) > 0 && (s.Knows(f.logic) || f.kept(s) || f.conflicts(s))
}

// decide registers what is new: the stream, its logic, its raw topic.
func (f *facts) decide(s *control.Stream) error {
	if f.known(s) {
		return control.ErrUnchanged
	}
	switch {
	case len(s.Generations) == 0:
		f.first(s)
	case !s.Knows(f.logic) && !f.kept(s) && !f.conflicts(s):
		f.live(s, s.Next(), control.Other)
	}
	if _, ok := s.Epoch(f.rawTopicID); !ok {
		next := uint16(0)
		if n := len(s.Epochs); n > 0 {
			next = s.Epochs[n-1].Number + 1
			// Positions in a topic that is gone say nothing of this one.
			s.Run, s.Lost, s.Moved = control.Run{
				Number: s.Run.Number + 1, Why: "the raw topic was recreated", At: time.Now().UTC().Truncate(time.Second), ProcessedTopicID: s.Run.ProcessedTopicID,
			}, nil, nil
		}
		s.Epochs = append(s.Epochs, control.Epoch{Number: next, RawTopicID: f.rawTopicID, ProcessedTopicID: f.processedTopicID, At: time.Now()})
	}
	return nil
}

// live makes the file's logic live.
func (f *facts) live(s *control.Stream, number uint16, kind control.Kind) {
	for i := range s.Generations {
		if g := &s.Generations[i]; s.Redo == nil || s.Redo.Generation != g.Number {
			g.Definition = ""
		}
	}
	s.Generations = append(s.Generations, control.Generation{
		Number: number, Kind: kind, Logic: f.logic, Key: f.key, At: time.Now(), By: f.by, Definition: f.stream.Definition(),
	})
	s.Live = number
}

// first registers a stream that control does not know: because it never ran, because it was made by a version that
// wrote no control records, or because the control topic is lost. What the group has committed tells which. Numbers go
// on above all that were given. A sink may have declared a run before: then the group's positions do not count, and all
// is processed.
func (f *facts) first(s *control.Stream) {
	declared := s.Run
	var generation uint16
	epochs := map[uint16]string{}
	written := map[int32]int64{} // offsets without metadata
	for partition, o := range f.group {
		position, ok := topics.ParsePosition(o.Metadata)
		if !ok {
			written[partition] = o.At
			continue
		}
		generation, s.Run.Number = max(generation, position.Generation), max(s.Run.Number, position.Run)
		epochs[position.Epoch] = position.RawTopicID
	}
	if len(written) > 0 && len(written) == len(f.group) {
		s.Run = control.Run{Number: 1, From: written, Why: control.Upgrade}
	}
	for _, number := range slices.Sorted(maps.Keys(epochs)) {
		s.Epochs = append(s.Epochs, control.Epoch{Number: number, RawTopicID: epochs[number], At: time.Now()})
	}
	if declared.Number > 0 {
		number := max(s.Run.Number, declared.Number) + 1
		s.Run = declared
		s.Run.Number, s.Run.From = number, nil
	}
	f.live(s, generation+1, control.First)
}

// Register decides what a process that is about to run a stream has to: it makes the stream known to control, its raw
// topic, and its logic, if that was never seen before. New logic is live at once. When Register returns, no processor
// can commit any more what it made by the logic of before. The topics of the stream exist. The error is a *[KeyError],
// the brokers', or ctx's; after one of the latter it may be called again.
func Register(ctx context.Context, cfg control.Config, cl *kgo.Client, p *pipeline.Pipeline, s *pipeline.Stream) (control.Stream, error) {
	ids, err := topicIDs(ctx, cl, topics.RawOf(p, s.Name), topics.Processed(p.Name, s.Name))
	if err != nil {
		return control.Stream{}, err
	}
	view := control.NewView(cfg)
	defer view.Close()
	if _, err := view.Refresh(ctx); err != nil {
		return control.Stream{}, err
	}
	f := factsOf(p, s, ids[topics.RawOf(p, s.Name)], ids[topics.Processed(p.Name, s.Name)], cfg.Who)
	f.viewed = view.Stream(s.Name)
	decided, err := register(ctx, cfg, cl, p, []*facts{f})
	if of := decided[s.Name]; err == nil && !f.kept(&of) && f.conflicts(&of) {
		err = &KeyError{s.Name, s.Sink.Table}
	}
	return decided[s.Name], err
}

// register decides about streams at once, whose facts say what was decided before. It fences processors once, however
// many streams have another logic.
func register(ctx context.Context, cfg control.Config, cl *kgo.Client, p *pipeline.Pipeline, some []*facts) (map[string]control.Stream, error) {
	of := map[string]*facts{}
	var names, unknown []string
	for _, f := range some {
		names = append(names, f.stream.Name)
		of[f.stream.Name] = f
		if len(f.viewed.Generations) == 0 {
			unknown = append(unknown, topics.RawOf(p, f.stream.Name))
		}
	}
	groups, err := committedBefore(ctx, cl, p, unknown)
	if err != nil {
		return nil, err
	}
	if err := give(ctx, cfg, p, some); err != nil {
		return nil, err
	}
	added := map[string]bool{}
	decided, err := control.ChangeAll(ctx, cfg, names, func(name string, s *control.Stream) error {
		f, before := of[name], len(s.Generations)
		if before == 0 && len(f.viewed.Generations) > 0 { // the topic was lost just now, and the group was not looked at
			return errDecided
		}
		f.group = groups[topics.RawOf(p, name)]
		err := f.decide(s)
		added[name] = err == nil && before > 0 && len(s.Generations) > before
		return err
	})
	if err != nil || !slices.Contains(slices.Collect(maps.Values(added)), true) {
		return decided, err
	}
	_, err = admin.Fence(ctx, cl, topics.ProcessorTransactionalIDs(p.Name))
	return decided, err
}

// give tells the pipeline that a line is of which logic the line is about to get.
func give(ctx context.Context, cfg control.Config, p *pipeline.Pipeline, some []*facts) error {
	for _, f := range some {
		if p.Line == nil || len(f.viewed.Generations) == 0 || f.viewed.Knows(f.logic) {
			continue
		}
		if err := control.Give(ctx, cfg, p.Line.Of, f.stream.Name, p.Line.Number, f.logic); err != nil {
			return err
		}
	}
	return nil
}

// committedBefore is what the group has committed of the raw topics of streams that control does not know. If a version
// of millrace did so that is not told otherwise that it is to stop, it commits no more.
func committedBefore(ctx context.Context, cl *kgo.Client, p *pipeline.Pipeline, raw []string) (map[string]map[int32]kadm.Offset, error) {
	cut := func() (map[string]map[int32]kadm.Offset, error) {
		return admin.Cuts(ctx, cl, topics.ProcessorGroup(p.Name), raw...)
	}
	groups, err := cut()
	if err != nil {
		return nil, err
	}
	for _, group := range groups {
		for _, o := range group {
			if _, ok := topics.ParsePosition(o.Metadata); !ok {
				if _, err := admin.Fence(ctx, cl, topics.ProcessorTransactionalIDs(p.Name)); err != nil {
					return nil, err
				}
				return cut()
			}
		}
	}
	return groups, nil
}

// topicIDs asks a broker for the ids of topics, which are all there.
func topicIDs(ctx context.Context, cl *kgo.Client, names ...string) (map[string]kadm.TopicID, error) {
	details, err := admin.Topics(ctx, kadm.NewClient(cl), names...)
	if err != nil {
		return nil, err
	}
	ids := map[string]kadm.TopicID{}
	for _, name := range names {
		ids[name] = details[name].ID
	}
	return ids, nil
}
