package recovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/internal/reset"
	"github.com/millrace-io/millrace/topics/control"
)

// ErrKafkaLost says that a repair has to be told to take the topics for older than the table.
var ErrKafkaLost = errors.New("the topics lack what the table has: Kafka came back from a backup, or lost its end, and its offsets are given twice")

// Plan says what [State.Repair] does, a line each; nothing, if nothing is wrong.
func (s *State) Plan(kafkaLost bool) (lines []string) {
	if kafkaLost {
		lines = []string{
			fmt.Sprintf("the rows of the table %s count as older than all that comes: its epoch is raised", s.cfg.Stream.Sink.Name()),
			fmt.Sprintf("the processors process %s from its start, in run %d", s.raw.name, s.decided.Run.Number+1),
		}
		if s.cfg.Pipeline.Line == nil {
			lines = append(lines, "the positions in the API are set back: everything is fetched again")
		}
		return lines
	}
	if s.processing {
		from := []string{}
		for _, n := range slices.Sorted(maps.Keys(s.raw.end)) {
			at, ok := s.from[n]
			if !ok {
				at = s.raw.start[n]
			}
			from = append(from, fmt.Sprintf("%d at %d", n, at))
		}
		lines = append(lines, fmt.Sprintf("the processors continue after what is in the table %s, in run %d: partition %s",
			s.cfg.Stream.Sink.Name(), s.decided.Run.Number+1, strings.Join(from, ", ")))
	}
	if len(s.skip) > 0 {
		lines = append(lines, fmt.Sprintf("the sinks continue at the start of %s, for what is missing comes again", s.processed.name))
	}
	return lines
}

// Gone names the raw records that were never processed, and are not there any more; empty: there are none.
func (s *State) Gone() string { return strings.Join(s.gone, "; ") }

// Repair does what Plan says. It may be called again after an error, and after a death.
func (s *State) Repair(ctx context.Context, kafkaLost bool) error {
	if s.KafkaLost && !kafkaLost {
		return ErrKafkaLost
	}
	if kafkaLost {
		if err := s.mayBeginAgain(ctx); err != nil {
			return err
		}
		// First the rows: what is processed again must win against them.
		if err := s.cfg.Table.BeginAgain(ctx, s.cfg.Stream.Name); err != nil {
			return err
		}
		if err := s.declare(ctx, nil, "Kafka is older than the database"); err != nil {
			return err
		}
		if s.cfg.Pipeline.Line != nil {
			return nil // ingest is not a line's
		}
		return reset.Run(ctx, reset.Config{
			Pipeline: s.cfg.Pipeline, Stream: s.cfg.Stream, Control: s.cfg.Control, Client: s.cfg.Client,
		}, reset.Options{})
	}
	if s.processing {
		if err := s.declare(ctx, s.from, strings.Join(s.Found, "; ")); err != nil {
			return err
		}
	}
	if len(s.skip) > 0 { // last: what it leaves out is on its way again
		return s.cfg.Table.GoOnAt(ctx, s.cfg.Stream.Name, s.skip)
	}
	return nil
}

// mayBeginAgain is why the rows may not be made older now: while the topics are given more partitions, what it declares
// would not hold.
func (s *State) mayBeginAgain(ctx context.Context) error {
	_, err := control.Change(ctx, s.cfg.Control, s.cfg.Stream.Name, func(d *control.Stream) error {
		if err := d.GrowRefuses(); err != nil {
			return err
		}
		return control.ErrUnchanged
	})
	return err
}

// declare says from where processors go on; from is nil for the start. That holds whatever a sink has declared since it
// was looked; another place does not.
func (s *State) declare(ctx context.Context, from map[int32]int64, why string) error {
	_, err := control.Change(ctx, s.cfg.Control, s.cfg.Stream.Name, func(d *control.Stream) error {
		if from != nil && d.Run.Number != s.decided.Run.Number {
			return errors.New("positions were declared by another process meanwhile: look again")
		}
		// The end of a grow declares positions too, and these would be lost. Until all is processed it waits for those
		// that are declared here.
		if d.Grow != nil && d.Grow.State != control.GrowDraining {
			return d.GrowRefuses()
		}
		d.Run = control.Run{Number: d.Run.Number + 1, From: from, Why: why}
		d.Lost = nil
		for n, at := range s.moved {
			if d.Moved == nil {
				d.Moved = map[int32]int64{}
			}
			d.Moved[n] = at
		}
		return nil
	})
	return err
}
