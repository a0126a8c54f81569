package tool

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/dryrun"
	"github.com/millrace-io/millrace/internal/letters"
)

// newDLQCommand is `millrace dlq`.
func newDLQCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "Look at the records that were refused, and send them through again",
		Long: `Look at the records that were refused: by a step, by the database, or because they have no key. They wait in the dead-letter
topics with their origin, their bytes and the reason; their keys keep the rows that they had. A letter is open until it is
retried, edited, superseded or discarded; nothing in these topics is ever deleted.`,
		Example: `  millrace dlq list shop.yaml             how many, of which stream, where and why
  millrace dlq show shop.yaml orders      each record of a stream, with its reason
  millrace dlq retry shop.yaml orders     process them again, once the cause is removed
  millrace dlq retry shop.yaml orders --edit    edit them in $EDITOR first
  millrace dlq export shop.yaml orders    as NDJSON, to be edited and imported
  millrace dlq discard shop.yaml orders --key 4711 --reason "a test order"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDLQListCommand(), newDLQShowCommand(), newDLQRetryCommand(), newDLQExportCommand(), newDLQImportCommand(), newDLQDiscardCommand())
	return cmd
}

func newDLQListCommand() *cobra.Command {
	var output string
	var all bool
	cmd := &cobra.Command{
		Use:   "list FILE [STREAM...]",
		Short: "Count the refused records, by stream, step and reason",
		Long: `Count the refused records, by stream, step and kind of reason, with the first and the last time and an example. It reads the
dead-letter topics to their ends, beside a running pipeline or without one. A record counts once, where it was refused last; with
--all those count too that were retried, superseded or discarded.

Exit codes: 0 they are counted, also if there are none; 1 something that needs an operator, as the last line says; 2 wrong command
line or pipeline file.`,
		Example: `  millrace dlq list shop.yaml
  millrace dlq list shop.yaml orders --output json`,
		Args: cli.Args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			write, err := groupWriter(output)
			if err != nil {
				return err
			}
			groups, err := groupLetters(cmd.Context(), args[0], args[1:], all)
			if err != nil {
				return err
			}
			return write(cmd.OutOrStdout(), groups.sorted())
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "count what is closed, too")
	cmd.Flags().StringVar(&output, "output", "table", "table or json")
	return cmd
}

// groupLetters counts the letters of streams; closed ones if all.
func groupLetters(ctx context.Context, path string, streams []string, all bool) (letterGroups, error) {
	var groups letterGroups
	err := readLetters(ctx, path, streams, false, func(stream string, l *letters.Letter) error {
		if all || l.Closed == nil {
			groups.add(stream, l)
		}
		return nil
	})
	return groups, err
}

func newDLQShowCommand() *cobra.Command {
	var f letterFilter
	var most int
	var all bool
	cmd := &cobra.Command{
		Use:   "show FILE STREAM",
		Short: "Show the refused records of a stream",
		Long: `Show the refused records of a stream as JSON, one a line: where each was refused and why, its origin, its key and its value as the
API sent it, and the record after each step of the file, as it is now, that lets it through. A value that is no JSON is given as text. Of a record that was refused several times the last letter is shown.
With --limit 0 all are shown; with --all those that are closed, too. To edit them: ` + "`millrace dlq export`" + `.

Exit codes: 0 they are shown, or there are none; 1 something that needs an operator, as the last line says; 2 wrong command line or
pipeline file.`,
		Example: `  millrace dlq show shop.yaml orders
  millrace dlq show shop.yaml orders --key 4711
  millrace dlq show shop.yaml orders --limit 0 > refused.ndjson`,
		Args: cli.Args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error { return showLetters(cmd, args, &f, most, all) },
	}
	f.flags(cmd, "reason")
	cmd.Flags().BoolVar(&all, "all", false, "show what is closed, too")
	cmd.Flags().IntVar(&most, "limit", 20, "at most so many; 0: all")
	return cmd
}

// showLetters writes at most so many letters of a stream, or all for 0; closed ones if all.
func showLetters(cmd *cobra.Command, args []string, f *letterFilter, most int, all bool) error {
	out, count := cmd.OutOrStdout(), 0
	p, err := cli.LoadPipeline(args[0])
	if err != nil {
		return err
	}
	if _, err := p.Choose(args[1:]); err != nil {
		return &cli.UsageError{Err: err}
	}
	d, err := dryrun.New(p.Stream(args[1]))
	if err != nil {
		return err
	}
	return readLetters(cmd.Context(), args[0], args[1:], true, func(stream string, l *letters.Letter) error {
		if !f.matches(l) || !all && l.Closed != nil || most > 0 && count >= most {
			return nil
		}
		count++
		x := shown(stream, l)
		x.Steps = stepsOf(d, l)
		return writeLetter(out, x)
	})
}
