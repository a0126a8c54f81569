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

Processors whose positions are lost, were changed by another program, or are no longer in the raw topic go on after what
is in the table. A sink whose position is no longer in the processed topic goes on at its start, and what is missing is
processed again. What comes twice has the version that it had, and changes no row.

With --kafka-lost the topics are taken for older than the table: Kafka came back from a backup, or lost its end, so that
offsets are given twice. Then the rows count as older than all that comes, the raw topic is processed from its start, and
everything is fetched again. Rows of records that came after that backup and that the API shows no more stay.`

// newRecoverCommand is `millrace recover`.
func newRecoverCommand() *cobra.Command {
	var lost, yes bool
	cmd := &cobra.Command{
		Use:   "recover FILE [STREAM...]",
		Short: "Put the positions of streams right after a loss or a restore",
		Long:  aboutRecover,
		Example: `  millrace recover shop.yaml
  millrace recover shop.yaml orders --yes
  millrace recover shop.yaml --kafka-lost`,
		Args: cli.Args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := operate(cmd.Context(), args[0], streamsOf(args))
			if err != nil {
				return err
			}
			defer o.close()
			return recoverStreams(cmd, o, lost, yes)
		},
	}
	cmd.Flags().BoolVar(&lost, "kafka-lost", false, "Kafka is older than the database")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
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
		if err := reset.Run(ctx, reset.Config{Pipeline: o.Pipeline, Stream: s, Control: o.control, Client: o.client}, reset.Options{}); err != nil {
			return fmt.Errorf("stream %s: %w; run the command again", s.Name, err)
		}
	}
	return nil
}

// repair is a line with what is wrong with its positions.
type repair struct {
	name  string // for people
	state *recovery.State
}

// recovering is a run of `millrace recover`.
type recovering struct {
	*operation

	cmd     *cobra.Command
	lost    bool     // Kafka is older than the database
	refused []string // streams of which that seems so, and nobody says it
	others  []error  // of tables that other streams write
}

func recoverStreams(cmd *cobra.Command, o *operation, lost, yes bool) error {
	x := &recovering{operation: o, cmd: cmd, lost: lost}
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
	if len(all) > 0 {
		if err := confirm(cmd, yes, "Go on?"); err != nil {
			return err
		}
	}
	for _, r := range all {
		if err := r.state.Repair(cmd.Context(), lost); err != nil {
			return fmt.Errorf("stream %s: %w; run the command again", r.name, err)
		}
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
		if err := l.Table.Owned(x.cmd.Context(), s.Name); err != nil {
			other, ok := errors.AsType[*sink.OwnerError](err)
			if !ok {
				return nil, err
			}
			x.sayf("%s: found: the table %s is not this stream's: %s", l.name, other.Table, other.Owner)
			x.others = append(x.others, fmt.Errorf("stream %s: %w", s.Name, other))
			continue
		}
		state, err := recovery.Look(x.cmd.Context(), l.Config)
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w", l.name, err)
		}
		for _, f := range state.Found {
			x.sayf("%s: found: %s", l.name, f)
		}
		if state.KafkaLost && !x.lost {
			x.refused = append(x.refused, s.Name)
			continue
		}
		plan := state.Plan(x.lost)
		if len(plan) == 0 {
			x.sayf("%s: the positions are in order", l.name)
			continue
		}
		for _, line := range plan {
			x.sayf("%s: to do: %s", l.name, line)
		}
		if gone := state.Gone(); gone != "" && !x.lost {
			x.sayf("%s: raw records are gone that were not processed, partition %s: `millrace reset %s %s` fetches them again", l.name, gone, x.file, s.Name)
		}
		all = append(all, repair{l.name, state})
	}
	return all, nil
}

func (x *recovering) sayf(format string, args ...any) {
	_, _ = fmt.Fprintf(x.cmd.OutOrStdout(), format+"\n", args...)
}
