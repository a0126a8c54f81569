package tool

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/swap"
)

// swapFlags are those of `millrace replay swap` and `rollback`.
type swapFlags struct {
	line    int
	wait    time.Duration
	partial bool
	yes     bool
	output  string
}

// swapped is what a swap has done, as JSON.
type swapped struct {
	Stream   string `json:"stream"`
	LiveLine uint16 `json:"live_line"`
	Table    string `json:"table"` // of the live line
	OldLine  uint16 `json:"old_line"`
	OldTable string `json:"old_table"`
	Back     string `json:"back"` // the command that undoes it
}

const aboutSwap = `

Both tables are renamed at once, under live traffic: whoever reads sees the one or the other, whole. The live line is stopped
for a moment, until the other one has come as far. What breaks with the names is refused, with the remedy: triggers, foreign keys,
columns that are not in the pipeline file, AUTO_INCREMENT, indexes that the other table lacks. Transactions that began before the other
table was complete are waited for, and so are sessions that hold one of the tables; the command names them.

If the command dies, whatever it was doing, nothing is lost: a sink that runs takes the swap back, or finishes it, within a minute, and so does
the next command.

Exit codes: 0 done; 1 refused, or taken back, as the last line says: the table is as before; 2 wrong command line or pipeline file.`

func newReplaySwapCommand() *cobra.Command {
	return swapCommand(&cobra.Command{
		Use:   "swap FILE STREAM",
		Short: "Put the table of a shadow in the place of the live one",
		Long: `Put the table of the newest line beside the live one in its place: what ` + "`millrace replay FILE STREAM --shadow`" + ` has built, or what a rollback
took back. The table of before stays beside it, and is kept up to date, until it is dropped: ` + "`millrace replay rollback`" + ` goes back at any time.` + aboutSwap,
		Example: `  millrace replay diff shop.yaml orders                what differs
  millrace replay swap shop.yaml orders                asks, and swaps
  millrace replay swap shop.yaml orders --yes --wait 10m
  millrace replay rollback shop.yaml orders --yes      goes back`,
	}, false)
}

func newReplayRollbackCommand() *cobra.Command {
	return swapCommand(&cobra.Command{
		Use:   "rollback FILE STREAM",
		Short: "Put the table that was live before in its place again",
		Long: `Put the table of the line that was live before in its place again: a swap backwards. The line was processed all the time, so it has all that
has come since. ` + "`millrace replay swap`" + ` goes forward again.` + aboutSwap,
		Example: `  millrace replay rollback shop.yaml orders            asks, and goes back
  millrace replay rollback shop.yaml orders --yes`,
	}, true)
}

func swapCommand(cmd *cobra.Command, back bool) *cobra.Command {
	f := &swapFlags{}
	cmd.Args = cli.Args(cobra.ExactArgs(2))
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0], args[1], back) }
	flags := cmd.Flags()
	flags.IntVar(&f.line, "line", 0, "to the line of this `number` (default: the newest beside the live one, or, of rollback, the one before)")
	flags.DurationVar(&f.wait, "wait", 5*time.Minute, "how long to wait for the other line, and for sessions that are in the way")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	outputFlag(flags, &f.output)
	if !back {
		flags.BoolVar(&f.partial, "partial", false, "also if the raw topic lacks its beginning, so that the new table lacks rows")
	}
	return cmd
}

func (f *swapFlags) run(cmd *cobra.Command, path, stream string, back bool) error {
	if err := checkOutput(f.output); err != nil {
		return err
	}
	if f.line < 0 || f.line > 65535 {
		return &cli.UsageError{Err: fmt.Errorf("--line: %d; there is no such line", f.line)}
	}
	if f.wait < 0 {
		return &cli.UsageError{Err: fmt.Errorf("--wait: %s; it must be 0 or more", f.wait)}
	}
	x, err := openLines(cmd, path, stream)
	if err != nil {
		return err
	}
	defer x.close()
	ask := swap.Ask{Back: back, Line: uint16(f.line), Partial: f.partial, Wait: f.wait}
	plan, err := x.Preview(cmd.Context(), ask)
	if err != nil {
		return err
	}
	if err := confirm(cmd, f.yes, fmt.Sprintf("%s: put the table %s of line %d in the place of %s, which becomes %s?", stream, plan.Next, plan.To, plan.Table, plan.Aside)); err != nil {
		return err
	}
	if plan, err = x.Swap(cmd.Context(), ask); err != nil {
		return err
	}
	next := "rollback"
	if back {
		next = "swap"
	}
	done := swapped{stream, plan.To, plan.Table, plan.From, plan.Aside, fmt.Sprintf("millrace replay %s %s %s", next, path, stream)}
	return writeDone(cmd.OutOrStdout(), f.output, done, `%s: line %d is live: the table %s has its rows. Those of line %d are in %s, and are kept up to date
back: %s
`, stream, plan.To, plan.Table, plan.From, plan.Aside, done.Back)
}

// linesOf is what the commands on lines need. It must be closed.
type linesOf struct {
	*swap.Lines

	replaying *replaying
}

// openLines reaches the servers of a pipeline file. What is waited for is told on stderr.
func openLines(cmd *cobra.Command, path, stream string) (*linesOf, error) {
	r, err := openReplay(cmd.Context(), path, stream, "", nil)
	if err != nil {
		return nil, err
	}
	x := &linesOf{replaying: r}
	if x.Lines, err = swap.Open(r.file, stream, r.env); err != nil {
		r.close()
		return nil, err
	}
	x.Told = func(text string) { _, _ = fmt.Fprintln(cmd.ErrOrStderr(), stream+": "+text) }
	return x, nil
}

func (x *linesOf) close() {
	x.Close()
	x.replaying.close()
}

func newReplayDropCommand() *cobra.Command {
	f := &dropFlags{}
	cmd := &cobra.Command{
		Use:   "drop FILE STREAM",
		Short: "Remove a line that is not live: its table, topics and groups",
		Long: `Remove a line that is not live, for good: a shadow that is not wanted, built or not, or a line that was live before. Its stages end, its
table and what the database says of it go, then its topics, with its dead letters, and its groups. Run again after a failure, it continues.
With --line it removes a line that is dropped already once more: what a process that had not heard of it has created again.
The raw topic and the live table are not touched.

Exit codes: 0 done; 1 refused, or something that needs an operator, as the last line says; 2 wrong command line or pipeline file.`,
		Example: `  millrace replay drop shop.yaml orders                the line beside the live one
  millrace replay drop shop.yaml orders --line 2 --yes`,
		Args: cli.Args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0], args[1]) },
	}
	cmd.Flags().IntVar(&f.line, "line", 0, "the `number` of the line (default: the one that is not live, if there is one)")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	outputFlag(cmd.Flags(), &f.output)
	return cmd
}

// dropFlags are those of `millrace replay drop`.
type dropFlags struct {
	line   int
	yes    bool
	output string
}

// droppedLine is what was dropped, as JSON.
type droppedLine struct {
	Stream string   `json:"stream"`
	Line   uint16   `json:"line"`
	Table  string   `json:"table"`
	Topics []string `json:"topics"`
}

// run is `millrace replay drop`.
func (f *dropFlags) run(cmd *cobra.Command, path, stream string) error {
	if err := checkOutput(f.output); err != nil {
		return err
	}
	if f.line < 0 || f.line > 65535 {
		return &cli.UsageError{Err: fmt.Errorf("--line: %d; there is no such line", f.line)}
	}
	x, err := openLines(cmd, path, stream)
	if err != nil {
		return err
	}
	defer x.close()
	is, err := x.PreviewDrop(cmd.Context(), uint16(f.line))
	if err != nil {
		return err
	}
	if err := confirm(cmd, f.yes, fmt.Sprintf("%s: remove line %d (%s) for good, with its table %s and %s?", stream, is.Line, is.State, is.Table, topicsText(is.Topics))); err != nil {
		return err
	}
	if is, err = x.Drop(cmd.Context(), is.Line); err != nil {
		return fmt.Errorf("%w; to continue: millrace replay drop %s %s --line %d", err, path, stream, is.Line)
	}
	done := droppedLine{stream, is.Line, is.Table, append([]string{}, is.Topics...)}
	return writeDone(cmd.OutOrStdout(), f.output, done, "%s: line %d is dropped, with its table %s and %s\n", stream, is.Line, is.Table, topicsText(is.Topics))
}

func topicsText(names []string) string {
	if len(names) == 0 {
		return "no topic"
	}
	return "the topics " + strings.Join(names, ", ")
}
