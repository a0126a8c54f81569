package recovery

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// Config says which stream of which pipeline, and how to reach its servers.
type Config struct {
	Pipeline *pipeline.Pipeline
	Stream   *pipeline.Stream
	Control  control.Config
	Client   *kgo.Client
	Table    *sink.Admin
}

// State is what was found of a stream.
type State struct {
	// Found says what is wrong with its positions, one thing each; empty: nothing is.
	Found []string
	// KafkaLost: the topics lack what the table has, so that offsets were, or will be, given twice.
	KafkaLost bool

	cfg       Config
	decided   *control.Stream
	raw       log
	processed log
	// raw offsets from which processors are to go on; a partition that is missing begins at its start
	from       map[int32]int64
	skip       map[int32]int64 // offsets of the processed topic where sinks are to go on
	moved      map[int32]int64 // offsets that another program wrote into the group
	processing bool            // positions are to be declared
	gone       []string        // raw records that were not processed, and are not there any more
}

// log is a topic.
type log struct {
	name       string
	id         [16]byte
	start, end map[int32]int64
}

// Look compares the positions of a stream with what the servers hold.
func Look(ctx context.Context, cfg Config) (*State, error) {
	s := &State{cfg: cfg, skip: map[int32]int64{}, moved: map[int32]int64{}}
	var err error
	if s.raw, err = cfg.log(ctx, topics.RawOf(cfg.Pipeline, cfg.Stream.Name)); err != nil {
		return nil, err
	}
	if s.processed, err = cfg.log(ctx, topics.Processed(cfg.Pipeline.Name, cfg.Stream.Name)); err != nil {
		return nil, err
	}
	if s.decided, err = control.About(ctx, cfg.Control, cfg.Stream.Name); err != nil {
		return nil, err
	}
	committed, err := admin.Cut(ctx, cfg.Client, topics.ProcessorGroup(cfg.Pipeline.Name), s.raw.name)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, err
	}
	at, err := cfg.Table.Positions(ctx, cfg.Stream.Name)
	if err != nil {
		return nil, err
	}
	applied, err := cfg.Table.Applied(ctx, cfg.Stream.Name, s.decided)
	if err != nil {
		return nil, err
	}
	for _, l := range []*log{&s.processed, &s.raw} {
		if err := cfg.ends(ctx, l); err != nil {
			return nil, err
		}
	}
	s.processors(committed)
	s.sinks(at)
	s.startAt(applied)
	return s, nil
}

// log asks the brokers for a topic. Its starts are asked for before any position in it, and its ends after: both grow
// meanwhile.
func (cfg Config) log(ctx context.Context, name string) (log, error) {
	l := log{name: name}
	var err error
	if l.id, err = cfg.id(ctx, name); err != nil {
		return l, err
	}
	l.start, err = admin.Starts(ctx, kadm.NewClient(cfg.Client), name)
	return l, err
}

// ends asks for the ends of a topic.
func (cfg Config) ends(ctx context.Context, l *log) (err error) {
	if l.end, err = admin.Ends(ctx, kadm.NewClient(cfg.Client), l.name); err != nil {
		return err
	}
	id, err := cfg.id(ctx, l.name)
	if err == nil && id != l.id {
		err = fmt.Errorf("topic %s: it was recreated meanwhile: look again", l.name)
	}
	return err
}

// id is that of the topic that is there now.
func (cfg Config) id(ctx context.Context, name string) ([16]byte, error) {
	// which the client does not answer from what it knows
	details, err := kadm.NewClient(cfg.Client).ListTopics(kadm.WithAuthorizedOps(ctx), name)
	if err == nil {
		err = details[name].Err
	}
	if err != nil || !details.Has(name) {
		return [16]byte{}, fmt.Errorf("topic %s: %w", name, errors.Join(err, errMissing))
	}
	return details[name].ID, nil
}

var errMissing = errors.New("it is not known to the brokers: a process of the pipeline makes it")

// processors looks at the positions of the processors' group.
func (s *State) processors(committed map[int32]kadm.Offset) {
	group := topics.ProcessorGroup(s.cfg.Pipeline.Name)
	id := hex.EncodeToString(s.raw.id[:])
	var moved, below, past []string
	for _, n := range slices.Sorted(maps.Keys(committed)) {
		o := committed[n]
		p, ours := topics.ParsePosition(o.Metadata)
		switch {
		case !ours && (s.decided.Live == 0 || s.decided.Run.Why == control.Upgrade):
		case !ours:
			if at, known := s.decided.Moved[n]; !known || at != o.At {
				moved = append(moved, fmt.Sprintf("%d at %d", n, o.At))
				s.moved[n] = o.At
			}
		case ours && (p.RawTopicID != id || p.Run < s.decided.Run.Number): // it does not count: the declared one does
		case o.At > s.raw.end[n]:
			past = append(past, fmt.Sprintf("%d at %d of %d", n, o.At, s.raw.end[n]))
		case o.At < s.raw.start[n]:
			below = append(below, fmt.Sprintf("%d at %d, the log begins at %d", n, o.At, s.raw.start[n]))
			s.gone = append(s.gone, fmt.Sprintf("%d: %d to %d", n, o.At, s.raw.start[n]-1))
		}
	}
	tell := func(format string, parts []string) {
		if len(parts) > 0 {
			s.Found = append(s.Found, fmt.Sprintf(format, group, s.raw.name, strings.Join(parts, "; ")))
			s.processing = true
		}
	}
	tell("the positions of the group %s in %s were written by another program: partition %s", moved)
	tell("retention took raw records before the group %s had processed them, from %s: partition %s", below)
	tell("the positions of the group %s are past the end of %s: partition %s", past)
	s.KafkaLost = len(past) > 0
	if lost := s.decided.Lost; lost != nil {
		s.Found = append(s.Found, "the processors wait: "+lost.Why)
		s.processing = true
	}
}

// sinks looks at how far the table has come.
func (s *State) sinks(at map[int32]sink.Position) {
	var below, past []string
	for _, n := range slices.Sorted(maps.Keys(at)) {
		p := at[n]
		if p.TopicID != s.processed.id {
			continue // the sinks begin it again by themselves
		}
		if p.Next < s.processed.start[n] {
			below = append(below, fmt.Sprintf("%d at %d, the log begins at %d", n, p.Next, s.processed.start[n]))
			s.skip[n] = s.processed.start[n]
		}
		if p.Next > s.processed.end[n] {
			past = append(past, fmt.Sprintf("%d at %d, the log ends at %d", n, p.Next, s.processed.end[n]))
		}
	}
	if len(below) > 0 {
		s.Found = append(s.Found, fmt.Sprintf("the table %s needs what %s has no more: partition %s", s.cfg.Stream.Sink.Name(), s.processed.name, strings.Join(below, "; ")))
		s.processing = true
	}
	if len(past) > 0 {
		s.Found = append(s.Found, fmt.Sprintf("the table %s has more than %s: partition %s", s.cfg.Stream.Sink.Name(), s.processed.name, strings.Join(past, "; ")))
		s.KafkaLost = true
	}
}

// startAt finds where processors are to go on: after what is in the table.
func (s *State) startAt(applied map[int32]int64) {
	s.from = map[int32]int64{}
	var past []string
	for _, n := range slices.Sorted(maps.Keys(applied)) {
		next := applied[n]
		if next > s.raw.end[n] {
			past = append(past, fmt.Sprintf("%d: offset %d of %d", n, next-1, s.raw.end[n]))
		}
		s.from[n] = max(next, s.raw.start[n])
		if s.processing && next < s.raw.start[n] && len(s.gone) == 0 {
			s.gone = append(s.gone, fmt.Sprintf("%d: up to %d", n, s.raw.start[n]-1))
		}
	}
	if len(past) > 0 {
		s.Found = append(s.Found, fmt.Sprintf("the table %s has raw records that %s has not: partition %s", s.cfg.Stream.Sink.Name(), s.raw.name, strings.Join(past, "; ")))
		s.KafkaLost = true
	}
}
