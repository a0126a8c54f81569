package tool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/grow"
)

type growFlags struct {
	partitions int32
	within     time.Duration
	yes        bool
	output     string
}

func newTopicsGrowCommand() *cobra.Command {
	f := &growFlags{}
	cmd := &cobra.Command{
		Use:   "grow FILE",
		Short: "Give the topics of a pipeline more partitions, and keep order and versions of every key",
		Long: `Give the topics of all streams of a pipeline more partitions. A key is in another partition then, so its raw records are written
again, in their order, each to its new partition; they are compared with those of before, and those of before are deleted, and the
processed records that are in the tables. No row changes by it, and replays find all that there was, at other offsets.

While it runs nothing is fetched, and the stages that run do what is there; then the processors stop. It takes about as long as raw
topics take to be read three times and written once, and they are on the brokers' disks twice meanwhile. Afterwards ingest and processors wait until they are
started with kafka.partitions as it is then. A command that dies loses nothing: run it again, and it continues; until then nothing is
fetched.

It is refused on the embedded broker, where a stream has children or is delivered by a webhook, and while a replay, a sweep or another line is there, or
live. No other
program may write to the raw topics meanwhile. It needs Alter, AlterConfigs and Delete on the topics.

Exit codes: 0 the topics have as many partitions; 1 it was not confirmed, or something that needs an operator; 2 wrong command line or
pipeline file.`,
		Example: `  millrace topics grow shop.yaml --partitions 16
  millrace topics grow shop.yaml --partitions 16 --within 30m --yes --output json`,
		Args: cli.File,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(f.output); err != nil {
				return err
			}
			err := growTopics(cmd, args[0], f)
			if err == nil {
				return nil
			}
			return errors.New(strings.ReplaceAll(err.Error(), " FILE ", " "+args[0]+" "))
		},
	}
	flags := cmd.Flags()
	flags.Int32Var(&f.partitions, "partitions", 0, "so many `partitions` (default kafka.partitions of the file)")
	flags.DurationVar(&f.within, "within", 5*time.Minute, "how long the stages that run may take to do what is there")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	flags.StringVar(&f.output, "output", "table", "table or json")
	return cmd
}

func growTopics(cmd *cobra.Command, path string, f *growFlags) error {
	o, err := operate(cmd.Context(), path, nil)
	if err != nil {
		return err
	}
	defer o.close()
	to := f.partitions
	if to == 0 {
		to = o.Kafka.Partitions
	}
	cfg := grow.Config{
		Pipeline: o.Pipeline, To: to, Control: o.control, Client: o.client, Within: f.within, File: path,
		Tell: func(format string, args ...any) { _, _ = fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) },
	}
	asking, cancel := context.WithTimeout(cmd.Context(), topicsTimeout)
	defer cancel()
	plan, err := grow.Look(asking, cfg)
	if err != nil {
		return err
	}
	if !plan.NoneToAdd {
		if err := confirm(cmd, f.yes, growQuestion(o.Name, &plan)); err != nil {
			return err
		}
		if err := grow.Run(cmd.Context(), cfg); err != nil {
			if cmd.Context().Err() != nil {
				return fmt.Errorf("stopped before its end: nothing is fetched until `millrace topics grow %s --partitions %d` continues", path, to)
			}
			return err
		}
	}
	if f.output == "json" {
		return encode(cmd.OutOrStdout(), plan)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: its topics have %d partitions; start its processes with kafka.partitions: %d\n", o.Name, to, to)
	return err
}

func growQuestion(name string, plan *grow.Plan) string {
	if plan.UnderWay {
		return fmt.Sprintf("%s: the topics are being given %d partitions, of %d; continue with it?", name, plan.To, plan.From)
	}
	return fmt.Sprintf("%s: give the topics %d partitions, of %d? Nothing is fetched meanwhile. Up to %s raw records are written again, and their first "+
		"copies are deleted, which cannot be undone.", name, plan.To, plan.From, humanize.Comma(plan.Offsets))
}
