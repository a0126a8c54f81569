package tool

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/letters"
	"github.com/millrace-io/millrace/topics"
)

// discardFlags are those of `millrace dlq discard`.
type discardFlags struct {
	letterFilter

	why, output string
	all, yes    bool
}

func newDLQDiscardCommand() *cobra.Command {
	f := &discardFlags{}
	cmd := &cobra.Command{
		Use:   "discard FILE STREAM --reason TEXT",
		Short: "Close letters of records that are not wanted",
		Long: `Close open letters of a stream as discarded, with a reason, which is kept: ` + "`millrace dlq show --all`" + ` shows both. The letters
themselves stay in the dead-letter topic. Their records are not retried any more, and do not come up again when a replay refuses
them again; the rows of their keys stay as they are.

It needs one of --key, --step and --refused-for, or --all. Exit codes: 0 they are closed; 1 it was not confirmed, or something needs
an operator; 2 wrong command line or pipeline file.`,
		Example: `  millrace dlq discard shop.yaml orders --key 4711 --reason "a test order"
  millrace dlq discard shop.yaml orders --step "process[0].map.total" --refused-for "division by zero" --reason "carts" --yes
  millrace dlq discard shop.yaml orders --all --reason "fetched again on 1 March" --output json --yes`,
		Args: cli.Args(cobra.ExactArgs(2)),
		RunE: f.run,
	}
	f.flags(cmd, "refused-for")
	flags := cmd.Flags()
	flags.StringVar(&f.why, "reason", "", "why they are not wanted; a `text`, which is kept")
	flags.BoolVar(&f.all, "all", false, "all that are open")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	flags.StringVar(&f.output, "output", "table", "table or json")
	return cmd
}

// run is `millrace dlq discard`.
func (f *discardFlags) run(cmd *cobra.Command, args []string) error {
	if err := checkOutput(f.output); err != nil {
		return err
	}
	if f.why == "" {
		return &cli.UsageError{Err: errors.New("--reason: say why; it is kept")}
	}
	if f.all == (len(f.keys) > 0 || f.step != "" || f.reason != "") {
		return &cli.UsageError{Err: errors.New("say which letters: --key, --step or --refused-for, or else --all")}
	}
	n, err := f.discard(cmd, args[0], args[1])
	if err != nil {
		return err
	}
	if f.output == "json" {
		return writeJSON(cmd.OutOrStdout(), map[string]any{"stream": args[1], "discarded": n})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s discarded\n", args[1], count(n, "letter"))
	return err
}

// discard closes the letters that the flags name, and returns how many.
func (f *discardFlags) discard(cmd *cobra.Command, path, stream string) (int, error) {
	ctx := cmd.Context()
	o, err := operate(ctx, path, []string{stream})
	if err != nil {
		return 0, err
	}
	defer o.close()
	all, err := lettersOf(ctx, o.opts, o.Pipeline, stream, false)
	if err != nil {
		return 0, err
	}
	open := f.open(all)
	if len(open) == 0 {
		return 0, nil
	}
	if err := confirm(cmd, f.yes, fmt.Sprintf("%s: discard %s, for example of key %s: %s?",
		stream, count(len(open), "letter"), oneLine(string(open[0].Record.Key), 40), oneLine(open[0].Reason, 100))); err != nil {
		return 0, err
	}
	closed := map[*letters.Letter]topics.Closing{}
	for _, l := range open {
		closed[l] = topics.Closing{Outcome: topics.Discarded, By: o.control.Who, Why: f.why}
	}
	return len(open), letters.Close(ctx, o.opts, closed, o.Kafka.MaxRecordBytes)
}
