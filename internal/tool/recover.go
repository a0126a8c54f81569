package tool

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/recovery"
	"github.com/millrace-io/millrace/sink"
)

// newRecoverCommand is `millrace recover`.
func newRecoverCommand() *cobra.Command {
	var lost, yes bool
	cmd := &cobra.Command{
		Use:   "recover FILE [STREAM...]",
		Short: "Put the positions of streams right after a loss or a restore",
		Long: `Put the positions of streams right after a loss or a restore. It compares what the topics hold, what the processors have
committed, and how far the tables have come; says what it found and what it will do; asks; and does it. It works beside
running processes, which take it up within seconds, and may be run again at any time: where nothing is wrong, it does
nothing.

Processors whose positions are lost, were changed by another program, or are no longer in the raw topic go on after what
is in the table. A sink whose position is no longer in the processed topic goes on at its start, and what is missing is
processed again. What comes twice has the version that it had, and changes no row.

With --kafka-lost the topics are taken for older than the table: Kafka came back from a backup, or lost its end, so that
offsets are given twice. Then the rows count as older than all that comes, the raw topic is processed from its start, and
everything is fetched again. Rows of records that came after that backup and that the API shows no more stay.`,
		Example: `  millrace recover shop.yaml
  millrace recover shop.yaml orders --yes
  millrace recover shop.yaml --kafka-lost`,
		Args: cli.Args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var streams []string // nil: all
			if len(args) > 1 {
				streams = args[1:]
			}
			o, err := operate(cmd.Context(), args[0], streams)
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

func recoverStreams(cmd *cobra.Command, o *operation, lost, yes bool) error {
	table, err := sink.OpenAdmin(o.Pipeline)
	if err != nil {
		return err
	}
	defer table.Close()
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...) }
	var all []*recovery.State
	var names []string
	var refused []string
	for _, s := range o.streams {
		cfg := recovery.Config{Pipeline: o.Pipeline, Stream: s, Control: o.control, Client: o.client, Table: table}
		state, err := recovery.Look(cmd.Context(), cfg)
		if err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
		for _, f := range state.Found {
			say("%s: found: %s", s.Name, f)
		}
		if state.KafkaLost && !lost {
			refused = append(refused, s.Name)
			continue
		}
		plan := state.Plan(lost)
		if len(plan) == 0 {
			say("%s: the positions are in order", s.Name)
			continue
		}
		for _, line := range plan {
			say("%s: to do: %s", s.Name, line)
		}
		if gone := state.Gone(); gone != "" && !lost {
			say("%s: raw records are gone that were not processed, partition %s: `millrace reset %s %s` fetches them again", s.Name, gone, o.file, s.Name)
		}
		all, names = append(all, state), append(names, s.Name)
	}
	if len(all) > 0 {
		if err := confirm(cmd, yes, "Go on?"); err != nil {
			return err
		}
	}
	for i, state := range all {
		if err := state.Repair(cmd.Context(), lost); err != nil {
			return fmt.Errorf("stream %s: %w; run the command again", names[i], err)
		}
		say("%s: done; running processes take it up within seconds", names[i])
	}
	var errs []error
	for _, name := range refused {
		errs = append(errs, fmt.Errorf("stream %s: %w: `millrace recover %s %s --kafka-lost`", name, recovery.ErrKafkaLost, o.file, name))
	}
	return errors.Join(errs...)
}
