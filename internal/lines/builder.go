package lines

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/internal/drive"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// Builder builds lines of one stream beside the live one. Where a line stands is in the control topic, so any number of
// processes may build the same one, each may die at any moment, and whoever is started again goes on:
//
//	Begin     one decision: the line's number, its logic, its rate
//	making    its topics are made; its control topic is told the epochs of the raw topic; its table is made like the
//	          live one, with the columns of the file and without indexes. All of it may be repeated: nobody writes
//	          there. One decision: stages may run it
//	building  stages fill it, this process too, in raw order from the start of the log. Near the end the indexes are
//	          added. When all that was in the raw topic is in the table, one decision: it is built
//
// Its methods may be called concurrently, but for Run. It must be closed.
type Builder struct{ *drive.Driver }

// Open makes what a builder of lines of a stream needs. It makes no connection. env.Streams does not count.
func Open(p *pipeline.Pipeline, stream string, env stage.Env) (*Builder, error) {
	d, err := drive.Open(p, stream, env, "shadow", needsOperator)
	if err != nil {
		return nil, err
	}
	return &Builder{d}, nil
}

// RefusedError says why a line cannot be built. Nothing was changed.
type RefusedError struct {
	Stream string
	Reason string
}

func (e *RefusedError) Error() string { return "stream " + e.Stream + ": " + e.Reason }

func (b *Builder) refuse(format string, args ...any) error {
	return &RefusedError{b.Stream.Name, fmt.Sprintf(format, args...)}
}

func (b *Builder) command(verb string) string { return b.Env.Command(verb, b.Stream.Name) }

// build is the command that builds a line, or takes part in it, with these flags.
func (b *Builder) build(flags ...string) string { return buildCommand(b.Env, b.Stream.Name, flags...) }

func buildCommand(env stage.Env, stream string, flags ...string) string {
	return env.Command("replay", stream, append([]string{"--shadow"}, flags...)...)
}

// Plan is what Begin would decide.
type Plan struct {
	Number uint16
	Table  string
	Goes   bool // the line is being built already, by the file's logic: Begin takes part in it
	Raw    int64
	// Lacks is how many raw offsets are below the start of the log: what was there is not in the line.
	Lacks int64
}

// Preview returns what Begin would decide now. The error may be a *[RefusedError].
func (b *Builder) Preview(ctx context.Context) (plan Plan, err error) {
	s, err := b.Decided(ctx)
	if err != nil {
		return plan, err
	}
	live, err := b.live(ctx, s)
	if err != nil {
		return plan, err
	}
	if plan, err = b.plan(ctx, s, live); err != nil || plan.Goes {
		return plan, err
	}
	there, err := b.DB.HasTable(ctx, plan.Table)
	if err != nil {
		return plan, err
	}
	if there {
		return plan, b.refuse("the database has a table %s, which would be the line's: rename it, or drop it", plan.Table)
	}
	raw, adm := topics.RawOf(b.Pipeline, b.Stream.Name), kadm.NewClient(b.Client)
	from, err := admin.Starts(ctx, adm, raw)
	if err != nil {
		return plan, err
	}
	to, err := admin.Ends(ctx, adm, raw)
	for partition, end := range to {
		plan.Raw, plan.Lacks = plan.Raw+end-from[partition], plan.Lacks+from[partition]
	}
	return plan, err
}

// Begin decides that a line of the file's logic is built, or takes part in the one that is. rate is as in
// [control.Line]; less than 0: as it is, of one that is being built. The error may be a *[RefusedError]; after another
// it is not known whether it has begun.
func (b *Builder) Begin(ctx context.Context, rate int) (plan Plan, err error) {
	if plan, err = b.Preview(ctx); err != nil {
		return plan, err
	}
	s, err := b.Decided(ctx)
	if err != nil {
		return plan, err
	}
	live, err := b.live(ctx, s)
	if err != nil {
		return plan, err
	}
	_, err = control.Change(ctx, b.Control, b.Stream.Name, func(now *control.Stream) error {
		if now.LiveLine != s.LiveLine || now.Live != s.Live {
			return b.refuse("another logic has become live just now: look at it, and begin again")
		}
		if plan, err = b.plan(ctx, now, live); err != nil {
			return err
		}
		if plan.Goes {
			l := now.Line(plan.Number)
			if rate < 0 || l.Rate == rate {
				return control.ErrUnchanged
			}
			l.Rate = rate
			return nil
		}
		b.declare(now, live, plan, max(rate, 0))
		return nil
	})
	return plan, err
}

// declare puts the line into s.
func (b *Builder) declare(s *control.Stream, live *control.Generation, plan Plan, rate int) {
	at := time.Now().UTC().Truncate(time.Second)
	if len(s.Lines) == 0 {
		s.Lines = []control.Line{{
			Number: control.BaseLine, State: control.LineLive, Definition: live.Definition, Logic: live.Logic, Key: live.Key,
			Table: lineTable(b.Stream.Sink.Table, control.BaseLine), At: at, By: b.Env.Instance,
		}}
	}
	l := control.Line{
		Number: plan.Number, State: control.LineMaking, Definition: b.Stream.Definition(), Table: plan.Table, Rate: rate, At: at, By: b.Env.Instance,
	}
	l.Logic, l.Key = b.Stream.Logic()
	s.Lines, s.NextLine = append(s.Lines, l), plan.Number+1
}

func lineTable(table string, number uint16) string { return fmt.Sprintf("%s__g%d", table, number) }

// live is the live generation of the live line.
func (b *Builder) live(ctx context.Context, s *control.Stream) (*control.Generation, error) {
	if number := s.LiveNumber(); number != control.BaseLine {
		line, err := Of(b.Pipeline, b.Stream.Name, s, number)
		if err != nil {
			return nil, err
		}
		if s, err = control.About(ctx, control.Config{Pipeline: line.Name, Client: b.Env.Kafka}, b.Stream.Name); err != nil {
			return nil, err
		}
	}
	g := s.Generation(s.Live)
	if g == nil {
		return nil, b.refuse("no processor of this version has run it yet, so there is no logic beside which another could be built: start one: `%s`",
			b.Env.Start("processor", b.Pipeline.Kafka.Embedded))
	}
	return g, nil
}

// runs is the line that was live before and has or had a logic, or nil.
func (b *Builder) runs(s *control.Stream, logic string) *control.Line {
	if l := s.LineOf(logic); l != nil && l.State == control.LineOld {
		return l
	}
	if l := s.Line(control.BaseLine); l != nil && l.State == control.LineOld && s.Knows(logic) {
		return l
	}
	return nil
}

// isLive says that there is nothing to build: the file's logic is the one of the live generation.
func (b *Builder) isLive(live *control.Generation) error {
	if live.Kind != control.Other {
		return b.refuse("the file's logic is the live one already. To process the records again by it, in place: %s", b.command("replay"))
	}
	return b.refuse("the file's logic is the live one already, since %s, when %s began with this file: records that came before have the rows "+
		"that the logic before made. To process them again by this one, in place: %s", live.At.UTC().Format(time.RFC3339), live.By, b.command("replay"))
}

// maxIdentifier is how many characters a table's name has at most.
const maxIdentifier = 64

// plan says what Begin would decide, of what does not depend on the servers.
func (b *Builder) plan(_ context.Context, s *control.Stream, live *control.Generation) (Plan, error) {
	plan := Plan{Number: max(s.NextLine, control.BaseLine+1)}
	plan.Table = lineTable(b.Stream.Sink.Table, plan.Number)
	logic, _ := b.Stream.Logic()
	if l := s.Shadow(); l != nil && l.Logic == logic {
		plan.Number, plan.Table, plan.Goes = l.Number, l.Table, true
		return plan, nil
	} else if l != nil {
		return plan, b.refuse("line %d is being built, begun by %s at %s, by another logic than this file's; `%s` shows it. One is built at a time: "+
			"swap it, or drop it: %s", l.Number, l.By, l.At.UTC().Format(time.RFC3339), b.command("replay status"), b.command("replay drop"))
	}
	if err := s.GrowRefusesFile(b.Pipeline.Kafka.Partitions); err != nil {
		return plan, b.refuse("%v", err)
	}
	if s.Redo != nil {
		return plan, b.refuse("a replay is under way, begun by %s; wait for its end, or end it: %s", s.Redo.By, b.command("replay abort"))
	}
	if live.Logic == logic {
		return plan, b.isLive(live)
	}
	if l := b.runs(s, logic); l != nil {
		verb := "replay swap"
		if l.Number < s.LiveNumber() {
			verb = "replay rollback"
		}
		return plan, b.refuse("line %d, which was live before, has this logic, and still runs: %s", l.Number, b.command(verb))
	}
	was, err := b.Stream.Defined(live.Definition)
	switch {
	case err != nil:
		return plan, fmt.Errorf("the logic that is live: %w", err)
	case was.Sink.Table != b.Stream.Sink.Table:
		return plan, b.refuse("the file has another table, %s, than the live logic, %s: a replay fills it while the other stays: %s",
			b.Stream.Sink.Table, was.Sink.Table, b.command("replay"))
	case fmt.Sprint(was.Ingest.Key) != fmt.Sprint(b.Stream.Ingest.Key):
		return plan, b.refuse("the file has another ingest.key: the raw topic has its records by the keys of before, %v, and would have some of them twice. "+
			"Give the stream another name, so that it is fetched again", was.Ingest.Key)
	case utf8.RuneCountInString(plan.Table) > maxIdentifier:
		return plan, b.refuse("the line's table would be %s, which has more than %d characters: rename %s, and set sink.table", plan.Table, maxIdentifier,
			b.Stream.Sink.Table)
	}
	return plan, nil
}

// needsOperator tells what no retry passes.
func needsOperator(err error) bool {
	var table *sink.TableError
	var mine *RefusedError
	return errors.As(err, &table) || errors.As(err, &mine) || drive.NeedsOperator(err)
}
