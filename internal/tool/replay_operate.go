package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/drive"
	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/internal/replay"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/topics/control"
)

func newReplayStatusCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status FILE STREAM",
		Short: "Show how far a replay is, or the lines of a stream",
		Long: `Show how far a replay is: its state, how much of the raw topic is behind, at which rate and how long the rest takes, for which it looks
twice, who takes part, and how much the sinks have to write; and the lines of the stream, if there are others than the one that it begins with: their state and table, and how far each is.
Of one that is being built it says how many records have arrived in the last minute, and whether its --rate is too low for it to catch up.

Exit codes: 0 they are shown; 1 there is neither, or something needs an operator, as the last line says; 2 wrong command line or
pipeline file.`,
		Example: `  millrace replay status shop.yaml orders
  millrace replay status shop.yaml orders --output json`,
		Args: cli.Args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error { return showReplay(cmd, args[0], args[1], output) },
	}
	cmd.Flags().StringVar(&output, "output", "table", "table or json")
	return cmd
}

// showReplay is `millrace replay status`.
func showReplay(cmd *cobra.Command, path, stream, output string) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	x, err := openReplay(cmd.Context(), path, stream, "", nil)
	if err != nil {
		return err
	}
	defer x.close()
	is, err := x.paced(cmd.Context())
	if err != nil {
		return err
	}
	if output == "json" {
		return writeJSON(cmd.OutOrStdout(), is)
	}
	return is.write(cmd.OutOrStdout())
}

// replayStatus is a replay under way, and the lines.
type replayStatus struct {
	*replay.Status // nil: none

	Stream string         `json:"stream"`
	Lines  []lines.Status `json:"lines,omitempty"`
}

// paceOver is between two looks at what is under way, to know how fast it is.
const paceOver = 2 * time.Second

// paced is status, with how fast what is under way gets on, for which it looks twice.
func (x *replaying) paced(ctx context.Context) (*replayStatus, error) {
	was, err := x.status(ctx)
	if err != nil || !was.moves() {
		return was, err
	}
	first := time.Now()
	if err := stage.Sleep(ctx, paceOver); err != nil {
		return nil, err
	}
	is, err := x.status(ctx)
	if errors.Is(err, replay.ErrNone) {
		return was, nil // it has ended meanwhile
	}
	if err != nil {
		return nil, err
	}
	second := time.Now()
	if was.Status != nil && is.Status != nil && was.Generation == is.Generation {
		is.Pace = drive.PaceBetween(first, second, was.Done, is.Done, is.All)
	}
	for i := range is.Lines {
		l := &is.Lines[i]
		for _, before := range was.Lines {
			if before.Line == l.Line && l.State == control.LineBuilding {
				l.Paced(drive.PaceBetween(first, second, before.Done, l.Done, l.All))
			}
		}
	}
	return is, nil
}

// moves reports whether a replay or a line is under way, and not at its end.
func (s *replayStatus) moves() bool {
	if s.Status != nil && s.State == control.Running && !s.Paused && s.Done < s.All {
		return true
	}
	return slices.ContainsFunc(s.Lines, func(l lines.Status) bool { return l.State == control.LineBuilding && l.Done < l.All })
}

func (x *replaying) status(ctx context.Context) (*replayStatus, error) {
	b, err := lines.Open(x.file, x.stream, x.env)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	out := &replayStatus{Stream: x.stream}
	if out.Lines, err = b.Status(ctx); err != nil {
		return nil, err
	}
	s, err := x.Status(ctx)
	switch {
	case err == nil:
		out.Status = &s
	case !errors.Is(err, replay.ErrNone) || len(out.Lines) == 0:
		return nil, err
	}
	return out, nil
}

func (s *replayStatus) write(out io.Writer) error {
	if s.Status != nil {
		if err := writeReplayStatus(out, *s.Status); err != nil || len(s.Lines) == 0 {
			return err
		}
		if _, err := fmt.Fprintln(out); err != nil {
			return err
		}
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "LINE\tSTATE\tTABLE\tBEHIND\tOF\tSINK LAG\tBUILT")
	for _, l := range s.Lines {
		built := "-"
		if !l.BuiltAt.IsZero() {
			built = l.BuiltAt.UTC().Format(time.RFC3339)
		}
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Line, l.State, l.Table, humanize.Comma(l.Done), humanize.Comma(l.All), humanize.Comma(l.Lag), built)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return writePaces(out, s.Lines)
}

// behind says how far a replay is.
func behind(s replay.Status) string {
	text := fmt.Sprintf("%s of %s raw offsets", humanize.Comma(s.Done), humanize.Comma(s.All))
	if pace := s.Pace.String(); pace != "" {
		text += "; " + pace
	}
	return text
}

func writeReplayStatus(out io.Writer, s replay.Status) error {
	state := string(s.State)
	if s.Paused {
		state += ", paused"
	}
	keys := "all"
	switch n := len(s.Keys); {
	case n > 20:
		keys = humanize.Comma(int64(n))
	case n > 0:
		keys = strings.Join(s.Keys, ", ")
	}
	lines := []string{
		"stream:\t" + s.Stream,
		fmt.Sprintf("generation:\t%d (live: %d)", s.Generation, s.Live),
		"state:\t" + state,
		fmt.Sprintf("begun:\t%s by %s", s.At.UTC().Format(time.RFC3339), s.By),
		"keys:\t" + keys,
		"behind:\t" + behind(s),
		fmt.Sprintf("sessions:\t%d", s.Members),
		fmt.Sprintf("sink lag:\t%s records", humanize.Comma(s.Lag)),
	}
	if s.Rate > 0 {
		lines = append(lines, fmt.Sprintf("rate:\tat most %s records a second", humanize.Comma(int64(s.Rate))))
	}
	if len(s.Partitions) > 0 {
		lines = append(lines, "", "PARTITION\tFROM\tTO\tAT\tEND")
	}
	for _, p := range s.Partitions {
		lines = append(lines, fmt.Sprintf("%d\t%d\t%d\t%d\t%d", p.Partition, p.From, p.To, p.Next, p.Cut))
	}
	return writeTable(out, lines)
}

// newReplayPauseCommand is `replay pause`, or `replay resume`.
func newReplayPauseCommand(pause bool) *cobra.Command {
	use, short, done, state := "resume", "Resume a paused replay", "continues", "running"
	if pause {
		use, short, done, state = "pause", "Pause a replay, in all processes that take part, until it is resumed", "is paused", "paused"
	}
	var output string
	cmd := &cobra.Command{
		Use:   use + " FILE STREAM",
		Short: short,
		Long: short + `. It takes effect within seconds; processes that take part stay, and new ones wait too.

Exit codes: 0 it does; 1 no replay is under way, or something needs an operator, as the last line says; 2 wrong command line or
pipeline file.`,
		Example: "  millrace replay " + use + " shop.yaml orders",
		Args:    cli.Args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			x, err := openReplay(cmd.Context(), args[0], args[1], "", nil)
			if err != nil {
				return err
			}
			defer x.close()
			redo, err := x.Pause(cmd.Context(), pause)
			if err != nil {
				return err
			}
			return writeDone(cmd.OutOrStdout(), output, replayed{args[1], redo.Generation, state}, "%s: the replay of generation %d %s\n", args[1], redo.Generation, done)
		},
	}
	outputFlag(cmd.Flags(), &output)
	return cmd
}

func newReplayAbortCommand() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "abort FILE STREAM",
		Short: "End a replay where it is",
		Long: `End a replay where it is. What was processed again stays: those rows are right, and the others are as they were. The logic that
the replay made live stays live. Processes that take part end too. It waits until a sink has written what the replay has
produced; after a death, run it again.

Exit codes: 0 it has ended; 1 no replay is under way, it was not confirmed, or something needs an operator, as the last line says;
2 wrong command line or pipeline file.`,
		Example: `  millrace replay abort shop.yaml orders
  millrace replay abort shop.yaml orders --yes`,
		Args: cli.Args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error { return abortReplay(cmd, args[0], args[1], &f) },
	}
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	outputFlag(cmd.Flags(), &f.output)
	cmd.Flags().StringVar(&f.logFormat, "log-format", "auto", "text, json or auto (text on a terminal)")
	cmd.Flags().StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func abortReplay(cmd *cobra.Command, path, stream string, f *replayFlags) error {
	if err := checkOutput(f.output); err != nil {
		return err
	}
	x, err := f.reach(cmd, path, stream)
	if err != nil {
		return err
	}
	defer x.close()
	if err := confirm(cmd, f.yes, stream+": end the replay, and leave the rows that it has not come to as they are?"); err != nil {
		return err
	}
	redo, err := x.Abort(cmd.Context())
	if err != nil {
		return err
	}
	if err := x.takePart(cmd.Context(), replay.Work{Generation: redo.Generation}); err != nil {
		if cmd.Context().Err() != nil {
			return errors.New("stopped before the replay has ended; to end it: millrace replay abort " + path + " " + stream)
		}
		return err
	}
	return writeDone(cmd.OutOrStdout(), f.output, replayed{stream, redo.Generation, "aborted"}, "%s: the replay of generation %d has ended\n", stream, redo.Generation)
}
