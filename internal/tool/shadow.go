package tool

import (
	"context"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/sink"
)

const aboutShadow = `

With --shadow the live table is not touched: the records are processed, by the file's logic, into another table beside it, a line of
its own with topics and groups of its own. Keys and columns may differ, and it can be looked at before anybody reads it. It begins like
the live table, with the columns and indexes that somebody has added to that one; the indexes are added when it is filled. A table too large
for MySQL's buffer pool is filled in the order of its keys, once all is processed; what is sorted is in temporary files. Stages
that run fill it without a restart, this process helps, and it is done when all that is in the raw topic is in the new table; from then
on the stages keep it up to date. The live table continues by the logic that it had, also where processes are started with the new file.
With a --rate that is lower than the rate at which records arrive it is never done: the log says that it does not catch up, once, with a
higher one. Run again with another --rate it sets the rate of the line that is being built, in all processes; 0 is no limit.
Then ` + "`millrace replay diff`" + ` compares the two, and ` + "`millrace replay swap`" + ` puts the new one in the place of the live one.`

// builtLine is a line that was built, as JSON.
type builtLine struct {
	Stream string `json:"stream"`
	Line   uint16 `json:"line"`
	Table  string `json:"table"`
}

// runShadow is `millrace replay --shadow`.
func runShadow(cmd *cobra.Command, path, stream string, f *replayFlags) error {
	for _, name := range []string{"from", "to", "key", "letters", "memory", "dry-run"} {
		if cmd.Flags().Changed(name) {
			return &cli.UsageError{Err: fmt.Errorf("--%s does not go with --shadow: it processes all that the raw topic has", name)}
		}
	}
	if err := checkOutput(f.output); err != nil {
		return err
	}
	if f.rate < 0 {
		return &cli.UsageError{Err: fmt.Errorf("--rate: %d; it must be 0 or more", f.rate)}
	}
	x, err := f.reach(cmd, path, stream)
	if err != nil {
		return err
	}
	defer x.close()
	b, err := lines.Open(x.file, stream, x.env)
	if err != nil {
		return err
	}
	defer b.Close()
	plan, err := x.beginShadow(cmd, f, b)
	if err != nil {
		return err
	}
	err = b.Run(cmd.Context(), plan.Number, lines.Work{
		Processor: processor.DefaultConfig(), Sink: sink.DefaultConfig(), Writes: x.servers.Own() || !x.pipeline.Database.Embedded,
	})
	if cmd.Context().Err() != nil {
		return fmt.Errorf("stopped before line %d is built; stages that run continue with it. To continue here: millrace replay %s %s --shadow", plan.Number, path, stream)
	}
	if err != nil {
		return err
	}
	done := builtLine{stream, plan.Number, plan.Table}
	return writeDone(cmd.OutOrStdout(), f.output, done, `%s: line %d is built: the table %s has all that is in the raw topic, by the file's logic
next: millrace replay diff %s %[1]s
then: millrace replay swap %[4]s %[1]s
`, stream, plan.Number, plan.Table, path)
}

// beginShadow asks, and begins a line or takes part in the one that is being built.
func (x *replaying) beginShadow(cmd *cobra.Command, f *replayFlags, b *lines.Builder) (lines.Plan, error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Minute)
	defer cancel()
	plan, err := b.Preview(ctx)
	if err != nil {
		return plan, err
	}
	rate := -1 // as it is
	if cmd.Flags().Changed("rate") || !plan.Goes {
		rate = f.rate
	}
	if !plan.Goes {
		question := fmt.Sprintf("%s: build line %d, the table %s, by the file's logic, of %s raw offsets? The live table stays as it is.",
			x.stream, plan.Number, plan.Table, humanize.Comma(plan.Raw))
		if err := confirm(cmd, f.yes, question); err != nil {
			return plan, err
		}
		if plan.Lacks > 0 {
			x.env.Log.Warn("the raw topic does not reach back to its beginning: rows of what was deleted from it will not be in the new table",
				"stream", x.stream, "offsets_deleted", plan.Lacks)
		}
	}
	asked, cancelAsked := context.WithTimeout(cmd.Context(), time.Minute)
	defer cancelAsked()
	if plan, err = b.Begin(asked, rate); err != nil {
		return plan, err
	}
	what := "a line is built beside the live one"
	if plan.Goes {
		what = "taking part in the line that is being built"
	}
	x.env.Log.Info(what, "stream", x.stream, "line", plan.Number, "table", plan.Table)
	return plan, nil
}
