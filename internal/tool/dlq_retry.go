package tool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/letters"
	"github.com/millrace-io/millrace/internal/replay"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/topics"
)

type retryFlags struct {
	letterFilter
	replayFlags

	force, edit bool
}

func newDLQRetryCommand() *cobra.Command {
	f := &retryFlags{}
	cmd := &cobra.Command{
		Use:   "retry FILE STREAM",
		Short: "Process refused records again",
		Long: `Process the open letters of a stream again, once their cause is removed, while the pipeline runs. It is a replay for the letters'
keys: the newest record of each goes through the file's logic into the table, in order and exactly once. A letter that is
not the newest record of its key brings nothing back; it is closed as superseded. If the file's logic is not the live one, it
becomes it, as with ` + "`millrace replay`" + `.

Then each letter is closed: retried (the record is in the table), superseded, or refused again, for which there is another letter
with the next attempt. What was refused 5 times is not retried without --force. Letters of ingest have no raw record, and
those whose raw record is deleted have none any more: they stay open.

A process that is killed loses nothing: run the same command again. It continues with the retry that is under way. Keys that do
not fit into one record of the control topic (256 KiB) are retried in several replays, one after the other.

With --edit the raw records are edited first, in $VISUAL or $EDITOR. What is wrong with an edit (no JSON, another key, refused by the
file's steps or columns) is named at the top of the text, which is opened again. A changed record is written to the raw topic, behind
the others of its key, and its letter is closed, in one Kafka transaction; the processors take it as it comes. A letter that is not the newest
record of its key is closed as superseded. What is not changed stays as it is.

Exit codes: 0 nothing that was to be retried is open; 1 something that needs an operator, as the last line says, or letters were
refused again; 2 wrong command line or pipeline file.`,
		Example: `  millrace dlq retry shop.yaml orders --dry-run
  millrace dlq retry shop.yaml orders
  millrace dlq retry shop.yaml orders --key 4711 --edit
  millrace dlq retry shop.yaml orders --step sink.orders --reason "Data too long" --yes
  millrace dlq retry shop.yaml orders --key 4711 --force --output json`,
		Args: cli.Args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(f.output); err != nil {
				return err
			}
			if f.edit {
				return onStream(cmd.Context(), args[0], args[1], func(o *operation) error { return editLetters(cmd, o, f) })
			}
			return retryLetters(cmd, args[0], args[1], f)
		},
	}
	f.letterFilter.flags(cmd, "reason")
	f.others(cmd.Flags())
	return cmd
}

// others are the flags that say nothing about which letters.
func (f *retryFlags) others(flags *pflag.FlagSet) {
	flags.BoolVar(&f.force, "force", false, "also what was refused 5 times")
	flags.BoolVar(&f.edit, "edit", false, "edit the raw records in $VISUAL or $EDITOR, and write those that are changed to the raw topic again")
	flags.BoolVar(&f.dry, "dry-run", false, "change nothing; say what would become of the letters")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	flags.StringVar(&f.output, "output", "table", "table or json")
	flags.StringVar(&f.instance, "instance", "", "`name` of this process among all that replay (default $MILLRACE_INSTANCE, else the host's name and a free number)")
	flags.StringVar(&f.logFormat, "log-format", "auto", "text, json or auto (text on a terminal)")
	flags.StringVar(&f.logLevel, "log-level", "warn", "debug, info, warn or error")
}

// retried says what became of the letters, or would.
type retried struct {
	Stream       string `json:"stream"`
	DryRun       bool   `json:"dry_run,omitempty"`
	Letters      int    `json:"letters"` // open ones that were asked for
	Retried      int    `json:"retried"`
	RefusedAgain int    `json:"refused_again"`
	Superseded   int    `json:"superseded"`
	NoRecord     int    `json:"no_record"` // they are of ingest, or the raw topic has their record no more
	Ceiling      int    `json:"ceiling"`   // refused too often
}

func retryLetters(cmd *cobra.Command, path, stream string, f *retryFlags) error {
	x, err := f.reach(cmd, path, stream)
	if err != nil {
		return err
	}
	defer x.close()
	if x.foreign != nil {
		return x.foreign
	}
	out, err := x.retry(cmd, f)
	if cmd.Context().Err() != nil {
		return fmt.Errorf("stopped before its end; to continue: millrace dlq retry %s %s", path, stream)
	}
	if err != nil {
		return err
	}
	if err := out.write(cmd, f.output); err != nil {
		return err
	}
	if out.RefusedAgain > 0 && !out.DryRun {
		return fmt.Errorf("%s refused again; see: millrace dlq list %s %s", count(out.RefusedAgain, "letter"), path, stream)
	}
	return nil
}

// retry retries what is open now. Letters that come meanwhile, also those of what is refused again, are not.
func (x *replaying) retry(cmd *cobra.Command, f *retryFlags) (*retried, error) {
	ctx := cmd.Context()
	all, err := lettersOf(ctx, x.env.Kafka, x.pipeline, x.stream, false)
	if err != nil {
		return nil, err
	}
	var finished map[string]bool
	if !f.dry {
		if finished, err = x.finish(ctx, cmd, f.yes); err != nil {
			return nil, err
		}
	}
	asked := f.open(all)
	out := &retried{Stream: x.stream, DryRun: f.dry, Letters: len(asked)}
	due, tried := out.sort(asked, finished, f.force)
	batches := replay.Batches(due, 0)
	if f.dry {
		for _, b := range batches {
			if err := x.dryRetry(ctx, b, out); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	for i, b := range batches {
		if err := x.retryBatch(ctx, cmd, b, f.yes || i > 0, len(due)); err != nil {
			return nil, err
		}
	}
	return out, x.count(ctx, append(tried, due...), out)
}

// sort tells letters that are to be retried from those whose keys were finished just now, and counts the others. force
// is for what was refused often.
func (r *retried) sort(asked []*letters.Letter, finished map[string]bool, force bool) (due, tried []*letters.Letter) {
	for _, l := range asked {
		switch {
		case !l.Retryable():
			r.NoRecord++
		case finished[string(l.Record.Key)]: // once is enough
			tried = append(tried, l)
		case l.Attempt >= replay.Ceiling && !force:
			r.Ceiling++
		default:
			due = append(due, l)
		}
	}
	return due, tried
}

// finish ends the retry that another process has begun, and not ended. It returns the keys.
func (x *replaying) finish(ctx context.Context, cmd *cobra.Command, yes bool) (keys map[string]bool, err error) {
	status, err := x.Status(ctx)
	if errors.Is(err, replay.ErrNone) {
		return map[string]bool{}, nil
	}
	if err != nil || status.Attempt == 0 {
		return nil, err // Begin says what to do about another replay
	}
	if err := confirm(cmd, yes, x.stream+": a retry of "+count(len(status.Keys), "key")+" is under way; take part in it?"); err != nil {
		return nil, err
	}
	keys = map[string]bool{}
	for _, key := range status.Keys {
		keys[key] = true
	}
	return keys, x.through(ctx, retryWork(status.First))
}

func retryWork(generation uint16) replay.Work {
	return replay.Work{
		Generation: generation, Processor: processor.DefaultConfig(), Letters: math.MaxInt, Memory: processor.DefaultRedoMemory,
	}
}

func (x *replaying) retryBatch(ctx context.Context, cmd *cobra.Command, b replay.Batch, yes bool, all int) error {
	answering, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	plan, err := x.Preview(answering, replay.Ask{Keys: b.Keys, Attempt: b.Attempt})
	if err != nil {
		return err
	}
	if err := x.Fits(answering); err != nil {
		return err
	}
	logic := "the logic that is live"
	if plan.Other {
		logic = "the file's logic, which becomes the live one"
	}
	if err := confirm(cmd, yes, fmt.Sprintf("%s: process %s again by %s, into the table %s?",
		x.stream, count(all, "letter"), logic, x.pipeline.Stream(x.stream).Sink.Table)); err != nil {
		return err
	}
	beginning, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	plan, err = x.Begin(beginning, b.Ask(x.pipeline, x.pipeline.Stream(x.stream), plan.Redo.Epoch))
	if err != nil {
		return err
	}
	x.env.Log.Info("a retry begins", "stream", x.stream, "generation", plan.Generation, "keys", len(b.Keys), "letters", len(b.Letters))
	return x.through(ctx, retryWork(plan.Generation))
}

// count says what became of the letters that were retried.
func (x *replaying) count(ctx context.Context, due []*letters.Letter, out *retried) error {
	all, err := lettersOf(ctx, x.env.Kafka, x.pipeline, x.stream, false)
	if err != nil {
		return err
	}
	now := map[topics.RawPosition]*letters.Letter{}
	for _, l := range all {
		now[l.Position] = l
	}
	for _, l := range due {
		is := now[l.Position]
		switch {
		case is.Closed == nil && is.Generation > l.Generation:
			out.RefusedAgain++
		case is.Closed == nil:
			out.NoRecord++
		case is.Closed.Outcome == topics.Retried:
			out.Retried++
		default:
			out.Superseded++
		}
	}
	return nil
}

func (r *retried) write(cmd *cobra.Command, output string) error {
	if output == "json" {
		return writeJSON(cmd.OutOrStdout(), r)
	}
	if r.Letters == 0 {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: no such letter is open\n", r.Stream)
		return err
	}
	would := ""
	if r.DryRun {
		would = ", would be"
	}
	words := []string{fmt.Sprintf("%s: %s%s: %d retried", r.Stream, count(r.Letters, "letter"), would, r.Retried)}
	for _, of := range []struct {
		n    int
		text string
	}{
		{r.Superseded, "superseded"},
		{r.RefusedAgain, "refused again"},
		{r.NoRecord, "without a raw record, and stay open"},
		{r.Ceiling, fmt.Sprintf("refused %d times already, and stay open (--force)", replay.Ceiling)},
	} {
		if of.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", of.n, of.text))
		}
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.Join(words, ", "))
	return err
}
