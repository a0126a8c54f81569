package replay

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/topics/control"
)

// Bound is one end of a range of raw records. The zero value is no bound.
type Bound struct {
	Offsets map[int32]int64 // by partition; one that is not there has no bound
	Time    time.Time       // of the raw records; by it, if it is not zero, and not by Offsets
}

// Ask is what is to be processed again.
type Ask struct {
	From, To Bound    // the newest record of a key must be in [From, To)
	Keys     []string // raw keys; nil: all
	Attempt  int      // as in control.Redo
	Rate     int      // records a second, of all processes that take part; 0: no limit
}

// RefusedError says why a redo cannot begin. Nothing was changed.
type RefusedError struct {
	Stream string
	Reason string
}

func (e *RefusedError) Error() string { return "stream " + e.Stream + ": " + e.Reason }

// UnderWayError says that a redo is under way already.
type UnderWayError struct {
	Stream string
	Redo   control.Redo
	Status string // command that shows it
	Part   string // command that takes part in it
	Abort  string // command that ends it
}

func (e *UnderWayError) Error() string {
	return fmt.Sprintf("stream %s: a replay is under way, begun by %s at %s, with another range, keys or logic; `%s` shows it, `%s` takes part in it, `%s` ends it",
		e.Stream, e.Redo.By, e.Redo.At.UTC().Format(time.RFC3339), e.Status, e.Part, e.Abort)
}

// Plan is what Begin would decide.
type Plan struct {
	Generation uint16 // of its rows
	Other      bool   // the file's logic is not the live one: it becomes it
	Redo       control.Redo
}

// Begin decides that a redo begins. Whoever begins first wins; the others get an *[UnderWayError]. Other errors are a
// *[RefusedError], a *sink.TableError if the table lacks columns of the file, the servers', or ctx's: after these it is
// not known whether it has begun.
func (r *Replay) Begin(ctx context.Context, ask Ask) (Plan, error) {
	plan, err := r.ask(ctx, ask)
	if err != nil {
		return plan, err
	}
	if err := r.DB.Fits(ctx, r.Stream.Name); err != nil {
		return plan, err
	}
	if line := r.Pipeline.Line; line != nil {
		logic, _ := r.Stream.Logic()
		if err := control.Give(ctx, r.Control, line.Of, r.Stream.Name, line.Number, logic); err != nil {
			return plan, err
		}
	}
	_, err = control.Change(ctx, r.Control, r.Stream.Name, func(s *control.Stream) error {
		if s.Redo != nil {
			return r.underWay(*s.Redo)
		}
		return r.decide(s, &plan)
	})
	return plan, err
}

// Fits returns a *sink.TableError if the table lacks columns of the file.
func (r *Replay) Fits(ctx context.Context) error { return r.DB.Fits(ctx, r.Stream.Name) }

// Preview returns what Begin would decide now.
func (r *Replay) Preview(ctx context.Context, ask Ask) (Plan, error) {
	plan, err := r.ask(ctx, ask)
	if err != nil {
		return plan, err
	}
	s, err := r.Decided(ctx)
	if err != nil {
		return plan, err
	}
	if s.Redo != nil {
		return plan, r.underWay(*s.Redo)
	}
	copied := *s
	copied.Generations = append([]control.Generation(nil), s.Generations...)
	return plan, r.decide(&copied, &plan)
}

func (r *Replay) underWay(redo control.Redo) error {
	return &UnderWayError{
		r.Stream.Name, redo, r.command("status"), r.Env.Command("replay", r.Stream.Name), r.command("abort"),
	}
}

func (r *Replay) command(what string) string { return r.Env.Command("replay "+what, r.Stream.Name) }

// ask looks up the offsets that are asked for.
func (r *Replay) ask(ctx context.Context, ask Ask) (plan Plan, err error) {
	redo := control.Redo{State: control.Marking, Keys: ask.Keys, Attempt: ask.Attempt, Rate: ask.Rate, At: time.Now().UTC().Truncate(time.Second), By: r.Env.Instance}
	if redo.RawTopicID, err = r.rawTopicID(ctx); err != nil {
		return plan, err
	}
	if redo.From, err = r.offsets(ctx, ask.From); err != nil {
		return plan, err
	}
	if redo.To, err = r.offsets(ctx, ask.To); err != nil {
		return plan, err
	}
	return Plan{Redo: redo}, nil
}

// offsets are those of a bound. A time that no record has is the end of the partition.
func (r *Replay) offsets(ctx context.Context, b Bound) (map[int32]int64, error) {
	if b.Time.IsZero() {
		for partition, offset := range b.Offsets {
			if partition < 0 || partition >= r.Pipeline.Kafka.Partitions || offset < 0 {
				return nil, &RefusedError{r.Stream.Name, fmt.Sprintf("there is no offset %d in a partition %d: %s has %d partitions, from 0",
					offset, partition, r.raw(), r.Pipeline.Kafka.Partitions)}
			}
		}
		return b.Offsets, nil
	}
	listed, err := kadm.NewClient(r.Client).ListOffsetsAfterMilli(ctx, b.Time.UnixMilli(), r.raw())
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("offsets of %s at %s: %w", r.raw(), b.Time.Format(time.RFC3339), err)
	}
	out := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { out[o.Partition] = o.Offset })
	return out, nil
}

// decide puts the redo into s, which is not changed if it is refused.
func (r *Replay) decide(s *control.Stream, plan *Plan) error {
	refuse := func(format string, args ...any) error {
		return &RefusedError{r.Stream.Name, fmt.Sprintf(format, args...)}
	}
	live := s.Generation(s.Live)
	if live == nil {
		return refuse("no processor of this version has run it yet, so it is not known what was processed: start one: `%s`", r.Env.Start("processor", r.Pipeline.Kafka.Embedded))
	}
	if err := s.GrowRefusesFile(r.Pipeline.Kafka.Partitions); err != nil {
		return refuse("%v", err)
	}
	epoch, ok := s.Epoch(plan.Redo.RawTopicID)
	if !ok {
		return refuse("the raw topic was recreated, and no processor has seen the new one yet: start one: `%s`", r.Env.Start("processor", r.Pipeline.Kafka.Embedded))
	}
	logic, key := r.Stream.Logic()
	if l := s.Shadow(); l != nil {
		return refuse("line %d is being built beside the live one: swap it (`%s`), or drop it (`%s`), before the live table is processed again",
			l.Number, r.command("swap"), r.command("drop"))
	}
	if live.Key != key {
		if was, err := r.Stream.Defined(live.Definition); err != nil || was.Sink.Table == r.Stream.Sink.Table {
			return refuse("the file makes other keys of the records than the rows of %s have, which would stay there for ever: "+
				"have another table built beside it, `%s`; or give the stream another sink.table", r.Stream.Sink.Table, r.Env.Command("replay", r.Stream.Name, "--shadow"))
		}
	}
	// Whoever found that the file has another logic may have died before it fenced the processors of the one before.
	fence := live.Kind == control.Other || live.Logic != logic
	made := control.Generation{Logic: logic, Key: key, At: plan.Redo.At, By: plan.Redo.By}
	if plan.Other = live.Logic != logic; plan.Other {
		live.Definition = ""
		made.Number, made.Kind, made.Definition = s.Next(), control.Other, r.Stream.Definition()
		s.Generations, s.Live = append(s.Generations, made), made.Number
	}
	// The redo has a generation of its own: between the fence and the cut records may be processed by the live one.
	made.Number, made.Kind, made.Definition = s.Next(), control.Again, ""
	s.Generations = append(s.Generations, made)
	plan.Generation = made.Number
	plan.Redo.Generation, plan.Redo.First, plan.Redo.Fence, plan.Redo.Epoch = made.Number, made.Number, fence, epoch
	redo := plan.Redo
	s.Redo = &redo
	return nil
}
