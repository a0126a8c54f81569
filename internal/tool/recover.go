package tool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/recovery"
	"github.com/millrace-io/millrace/internal/reset"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink"
)

const aboutRecover = `Put the positions of streams right after a loss or a restore. It compares what the topics hold, what the processors have
committed, and how far the tables have come; says what it found and what it will do; asks; and does it. It works beside
running processes, which take it up within seconds, and may be run again at any time: where nothing is wrong, it does
nothing.

Processors whose positions are lost, were changed by another program, or are no longer in the raw topic continue after what
is in the table. A sink whose position is no longer in the processed topic continues at its start, and what is missing is
processed again. What comes twice has the version that it had, and changes no row.

With --kafka-lost the topics are taken for older than the table: Kafka came back from a backup, or lost its end, so that
offsets are given twice. Then the rows count as older than all that comes, the raw topic is processed from its start, and
everything is fetched again. Rows of records that came after that backup and that the API shows no more stay.

Exit codes: 0 all is in order, or is now; 1 it was not confirmed, or something is left that needs an operator, as the last lines say;
2 wrong command line or pipeline file.`

// newRecoverCommand is `millrace recover`.
func newRecoverCommand() *cobra.Command {
	var lost, yes bool
	var output string
	cmd := &cobra.Command{
		Use:   "recover FILE [STREAM...]",
		Short: "Put the positions of streams right after a loss or a restore",
		Long:  aboutRecover,
		Example: `  millrace recover shop.yaml
  millrace recover shop.yaml orders --yes
  millrace recover shop.yaml --kafka-lost
  millrace recover shop.yaml --output json --yes`,
		Args: cli.Args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			o, err := operate(cmd.Context(), args[0], streamsOf(args))
			if err != nil {
				return err
			}
			defer o.close()
			x := &recovering{operation: o, cmd: cmd, lost: lost, json: output == "json", told: []*recovered{}}
			return x.do(yes)
		},
	}
	cmd.Flags().BoolVar(&lost, "kafka-lost", false, "Kafka is older than the database")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().StringVar(&output, "output", "table", "table (a line for each thing that was found) or json")
	return cmd
}

// recoverable is a line of a stream.
type recoverable struct {
	recovery.Config

	name string // for people
}

// recoverables are all lines of the streams that the command names; the base line, which has ingest, after the others.
func recoverables(ctx context.Context, o *operation) (all []recoverable, err error) {
	for _, s := range o.streams {
		lines, err := runningLines(ctx, o.opts, o.Pipeline, s.Name)
		if err != nil {
			return all, err
		}
		slices.SortFunc(lines, func(a, b *pipeline.Pipeline) int { return cmp.Compare(lineNumber(b), lineNumber(a)) })
		for _, line := range lines {
			x := recoverable{recovery.Config{Pipeline: line, Stream: &line.Streams[0], Control: o.control, Client: o.client}, s.Name}
			if x.Control.Pipeline = line.Name; line.Line != nil {
				x.name += fmt.Sprintf(", line %d", line.Line.Number)
			} else {
				all := *o.Pipeline // ingest asks about other streams, too
				all.Streams = slices.Clone(all.Streams)
				*all.Stream(s.Name) = line.Streams[0]
				x.Pipeline = &all
			}
			if x.Table, err = sink.OpenAdmin(line); err != nil {
				return all, err
			}
			x.Table.SetFile(o.file)
			all = append(all, x)
		}
	}
	return all, nil
}

// refetch has all be fetched again of the streams whose base line was dropped: a repair of that one does so itself.
func refetch(ctx context.Context, o *operation, lines []recoverable, lost bool) error {
	for _, s := range o.streams {
		based := slices.ContainsFunc(lines, func(l recoverable) bool { return l.Stream.Name == s.Name && l.Pipeline.Line == nil })
		if based || !lost {
			continue
		}
		if err := reset.Run(ctx, reset.Config{Pipeline: o.Pipeline, Stream: s, Control: o.control, Client: o.client, File: o.file}, reset.Options{}); err != nil {
			return fmt.Errorf("stream %s: %w; run the command again", s.Name, err)
		}
	}
	return nil
}

// repair is a line with what is wrong with its positions.
type repair struct {
	name  string // for people
	state *recovery.State
	told  *recovered
}

// recovered is what was wrong with the positions of a line, and what was done, as JSON.
type recovered struct {
	Stream string   `json:"stream"`
	Line   uint16   `json:"line"`
	Found  []string `json:"found"`
	ToDo   []string `json:"to_do"`
	Done   bool     `json:"done"`           // there is nothing to do any more
	Next   string   `json:"next,omitempty"` // the command that is wanted besides
}

// recovering is a run of `millrace recover`.
type recovering struct {
	*operation

	cmd     *cobra.Command
	json    bool // for programs
	told    []*recovered
	lost    bool     // Kafka is older than the database
	refused []string // streams of which that seems so, and nobody says it
	others  []error  // of tables that other streams write, or that have lost rows
}

// do looks, asks, and repairs.
func (x *recovering) do(yes bool) (err error) {
	cmd, o, lost := x.cmd, x.operation, x.lost
	lines, err := recoverables(cmd.Context(), o)
	defer func() {
		for _, l := range lines {
			l.Table.Close()
		}
	}()
	if err != nil {
		return err
	}
	all, err := x.look(lines)
	if err != nil {
		return err
	}
	if x.json {
		defer func() { err = errors.Join(writeJSON(cmd.OutOrStdout(), x.told), err) }()
	}
	if len(all) > 0 {
		if err := confirm(cmd, yes, "Go on?"); err != nil {
			return err
		}
	}
	for _, r := range all {
		if err := r.state.Repair(cmd.Context(), lost); err != nil {
			return fmt.Errorf("stream %s: %w; run the command again", r.name, err)
		}
		r.told.Done = true
		x.sayf("%s: done; running processes take it up within seconds", r.name)
	}
	if err := refetch(cmd.Context(), o, lines, lost && len(all) > 0); err != nil {
		return err
	}
	errs := x.others
	for _, name := range slices.Compact(x.refused) {
		errs = append(errs, fmt.Errorf("stream %s: %w: `millrace recover %s %s --kafka-lost`", name, recovery.ErrKafkaLost, o.file, name))
	}
	return errors.Join(errs...)
}

// look says what is wrong with lines and what will be done, and returns those of which something is to be done.
func (x *recovering) look(lines []recoverable) (all []repair, err error) {
	for _, l := range lines {
		s := l.Stream
		told := &recovered{Stream: s.Name, Line: lineNumber(l.Pipeline), Found: []string{}, ToDo: []string{}}
		x.told = append(x.told, told)
		if err := l.Table.Owned(x.cmd.Context(), s.Name); err != nil {
			other, ok := errors.AsType[*sink.OwnerError](err)
			if !ok {
				return nil, err
			}
			told.foundf(x, l.name, "the table %s is not this stream's: %s", other.Table, other.Owner)
			told.Next = fmt.Sprintf("millrace run %s --adopt %s", x.file, s.Name)
			x.others = append(x.others, fmt.Errorf("stream %s: %w", s.Name, other))
			continue
		}
		if err := x.whole(l, told); err != nil {
			return nil, err
		}
		state, err := recovery.Look(x.cmd.Context(), l.Config)
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w", l.name, err)
		}
		for _, f := range state.Found {
			told.foundf(x, l.name, "%s", f)
		}
		if state.KafkaLost && !x.lost {
			x.refused = append(x.refused, s.Name)
			told.Next = fmt.Sprintf("millrace recover %s %s --kafka-lost", x.file, s.Name)
			continue
		}
		plan := state.Plan(x.lost)
		if len(plan) == 0 {
			told.Done = true
			x.sayf("%s: the positions are in order", l.name)
			continue
		}
		told.ToDo = plan
		for _, line := range plan {
			x.sayf("%s: to do: %s", l.name, line)
		}
		if gone := state.Gone(); gone != "" && !x.lost {
			told.Next = fmt.Sprintf("millrace reset %s %s", x.file, s.Name)
			x.sayf("%s: raw records are gone that were not processed, partition %s: `%s` fetches them again", l.name, gone, told.Next)
		}
		all = append(all, repair{l.name, state, told})
	}
	return all, nil
}

// whole notes that the table has lost rows, which no position brings back. What a row is found by is the live logic's,
// so it is asked only where that is the file's.
func (x *recovering) whole(l recoverable, told *recovered) error {
	ctx := x.cmd.Context()
	s, err := decidedAbout(ctx, x.opts, l.Pipeline, l.Stream.Name)
	if err != nil {
		return err
	}
	logic, _ := l.Stream.Logic()
	if g := s.Generation(s.Live); g == nil || g.Logic != logic {
		return nil
	}
	err = l.Table.Whole(ctx, l.Stream.Name)
	lost, ok := errors.AsType[*sink.TableError](err)
	if !ok {
		return err
	}
	told.foundf(x, l.name, "%v", lost)
	told.Next = fmt.Sprintf("millrace replay %s %s", x.file, l.Stream.Name)
	x.others = append(x.others, fmt.Errorf("stream %s: rows are missing: `%s`", l.name, told.Next))
	return nil
}

// foundf notes what was found, and says it.
func (r *recovered) foundf(x *recovering, name, format string, args ...any) {
	r.Found = append(r.Found, fmt.Sprintf(format, args...))
	x.sayf("%s: found: %s", name, r.Found[len(r.Found)-1])
}

// sayf tells people.
func (x *recovering) sayf(format string, args ...any) {
	if x.json {
		return
	}
	_, _ = fmt.Fprintf(x.cmd.OutOrStdout(), format+"\n", args...)
}
