package tool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/process"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics/control"
)

const stageUsage = "only this `stage`: ingest, processor or sink; may be given several times (default all three)"

// newPauseCommand is `millrace pause`.
func newPauseCommand() *cobra.Command {
	var stages []string
	var why, output string
	cmd := &cobra.Command{
		Use:   "pause FILE STREAM...",
		Short: "Pause streams, in all processes, until they are resumed",
		Long: `Pause streams, in all processes that run the pipeline, until ` + "`millrace resume`" + `. What is in hand is committed; then
ingest starts no request, the processor takes no raw record, the sink writes no row of the stream. Other streams continue.

The pause is kept in the pipeline's control topic, so it outlives restarts and holds for processes that start later. It
takes effect within seconds; logs, /readyz and millrace_<stage>_notices{kind="paused"} tell of it. A line that is built later is not paused. What the API shows
meanwhile is fetched by the pass after the pause, as far as the API still shows it.

Exit codes: 0 they stand, or did already; 1 something that needs an operator, as the last line says; 2 wrong command line or pipeline
file.`,
		Example: `  millrace pause shop.yaml orders --reason "the shop migrates its ids"
  millrace pause shop.yaml orders customers --stage sink
  millrace resume shop.yaml orders`,
		Args: cli.Args(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return decidePauses(cmd, args, stages, output, "paused", paused(why))
		},
	}
	cmd.Flags().StringSliceVar(&stages, "stage", nil, stageUsage)
	cmd.Flags().StringVar(&why, "reason", "", "`text` that stages show beside the pause")
	outputFlag(cmd.Flags(), &output)
	return cmd
}

// newResumeCommand is `millrace resume`.
func newResumeCommand() *cobra.Command {
	var stages []string
	var output string
	cmd := &cobra.Command{
		Use:   "resume FILE STREAM...",
		Short: "Resume streams that were paused",
		Long: `Resume streams that were paused with ` + "`millrace pause`" + `, in all processes, within seconds.

Exit codes: 0 they continue, or did already; 1 something that needs an operator, as the last line says; 2 wrong command line or pipeline
file.`,
		Example: `  millrace resume shop.yaml orders
  millrace resume shop.yaml orders --stage sink`,
		Args: cli.Args(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return decidePauses(cmd, args, stages, output, "resumed", resumed)
		},
	}
	cmd.Flags().StringSliceVar(&stages, "stage", nil, stageUsage)
	outputFlag(cmd.Flags(), &output)
	return cmd
}

// paused begins the pause of a stage. It reports whether there was none.
func paused(why string) func(*control.Stream, string) bool {
	return func(s *control.Stream, stage string) bool {
		if s.IsPaused(stage) {
			return false
		}
		if s.Paused == nil {
			s.Paused = map[string]control.Pause{}
		}
		s.Paused[stage] = control.Pause{At: time.Now().UTC().Truncate(time.Second), By: who(), Why: why}
		return true
	}
}

// resumed ends the pause of a stage. It reports whether there was one.
func resumed(s *control.Stream, stage string) bool {
	was := s.IsPaused(stage)
	delete(s.Paused, stage)
	return was
}

// decidePauses calls decide for each stage of each stream, which reports whether it changed it, and says what was done.
func decidePauses(
	cmd *cobra.Command, args, stages []string, output, done string, decide func(s *control.Stream, stage string) bool,
) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	if len(stages) == 0 {
		stages = process.All
	}
	for _, s := range stages {
		if !slices.Contains(process.All, s) {
			return &cli.UsageError{Err: fmt.Errorf("--stage: %q; it must be ingest, processor or sink", s)}
		}
	}
	o, err := operate(cmd.Context(), args[0], args[1:])
	if err != nil {
		return err
	}
	defer o.close()
	all, err := o.decidePauses(cmd.Context(), stages, decide)
	if output == "json" {
		return errors.Join(err, writeJSON(cmd.OutOrStdout(), all))
	}
	for _, s := range all {
		what := done + ": " + strings.Join(s.Changed, ", ")
		if len(s.Changed) == 0 {
			what = "nothing to do: it is so already"
		}
		_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", s.Stream, what)
	}
	return err
}

// pauseChange is of which stages of a stream the pause was begun, or ended.
type pauseChange struct {
	Stream  string   `json:"stream"`
	Changed []string `json:"changed"` // names of stages; of a line that is not the first, with its number
}

// decidePauses returns what it has done also with an error.
func (o *operation) decidePauses(ctx context.Context, stages []string, decide func(s *control.Stream, stage string) bool) ([]pauseChange, error) {
	out := []pauseChange{}
	for _, stream := range o.streams {
		all, err := runningLines(ctx, o.opts, o.Pipeline, stream.Name)
		if err != nil {
			return out, fmt.Errorf("stream %s: %w", stream.Name, err)
		}
		if !slices.ContainsFunc(all, func(line *pipeline.Pipeline) bool { return line.Line == nil }) {
			all = append(all, o.Pipeline) // the first line was dropped, but ingest is its
		}
		changed := []string{}
		for _, line := range all {
			some, err := decidePause(ctx, o, line, stream.Name, stages, decide)
			if err != nil {
				return out, fmt.Errorf("stream %s: %w", stream.Name, err)
			}
			for _, name := range some {
				if line.Line != nil {
					name += fmt.Sprintf(" of line %d", line.Line.Number)
				}
				changed = append(changed, name)
			}
		}
		out = append(out, pauseChange{stream.Name, changed})
	}
	return out, nil
}

// stageRuns reports whether a stage runs on a line: ingest only on the first one, also when that was dropped, which has
// nothing else then.
func stageRuns(line *pipeline.Pipeline, s *control.Stream, stage string) bool {
	if stage == process.Ingest {
		return line.Line == nil
	}
	return line.Line != nil || !s.Without()
}

// decidePause is decidePauses of one line.
func decidePause(
	ctx context.Context, o *operation, line *pipeline.Pipeline, stream string, stages []string, decide func(s *control.Stream, stage string) bool,
) (changed []string, err error) {
	cfg := o.control
	cfg.Pipeline = line.Name
	_, err = control.Change(ctx, cfg, stream, func(s *control.Stream) error {
		changed = nil
		for _, stage := range stages {
			if stageRuns(line, s, stage) && decide(s, stage) {
				changed = append(changed, stage)
			}
		}
		if len(changed) == 0 {
			return control.ErrUnchanged
		}
		return nil
	})
	return changed, err
}
