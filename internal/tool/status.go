package tool

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/process"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// streamStatus is what is decided about a stream.
type streamStatus struct {
	Stream     string                   `json:"stream"`
	Generation uint16                   `json:"generation"` // live; 0: no processor has run yet
	Since      time.Time                `json:"since,omitzero"`
	Epoch      uint16                   `json:"epoch"` // of the raw topic
	Run        uint32                   `json:"run"`   // of the processors' positions
	Lost       string                   `json:"lost,omitempty"`
	Redo       *control.Redo            `json:"redo,omitempty"`
	Reset      control.Reset            `json:"reset,omitzero"`
	Sweep      *control.Sweep           `json:"sweep,omitempty"`
	Paused     map[string]control.Pause `json:"paused,omitempty"`
	LiveLine   uint16                   `json:"live_line,omitempty"` // 0: there was never another than the first
	Lines      []control.Line           `json:"lines,omitempty"`     // without their definitions
}

// newStatusCommand is `millrace status`.
func newStatusCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status FILE [STREAM...]",
		Short: "Show what is decided about the streams: generation, epoch, redo, lines, reset, pauses",
		Long: `Show what is decided about the streams of a pipeline in its control topic: the generation of the logic that is live, the
epoch of the raw topic, the run of the processors' positions, a replay, reset or sweep under way, lines beside the
first one, and which stages are paused. It asks the brokers only; how far the stages are is in their metrics.

Exit codes: 0 it is shown; 1 something that needs an operator, as the last line says; 2 wrong command line or pipeline file.`,
		Example: `  millrace status shop.yaml
  millrace status shop.yaml orders --output json`,
		Args: cli.Args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return showStatus(cmd, args, output) },
	}
	cmd.Flags().StringVar(&output, "output", "table", "table or json")
	return cmd
}

// showStatus is `millrace status`.
func showStatus(cmd *cobra.Command, args []string, output string) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	o, err := operate(cmd.Context(), args[0], streamsOf(args))
	if err != nil {
		return err
	}
	defer o.close()
	v, err := o.decided(cmd.Context())
	if err != nil {
		return err
	}
	all, err := o.statuses(cmd.Context(), v)
	if err != nil {
		return err
	}
	if output == "table" {
		return writeStatus(cmd.OutOrStdout(), all)
	}
	return writeJSON(cmd.OutOrStdout(), all)
}

// statuses are what is decided about the streams that the command names.
func (o *operation) statuses(ctx context.Context, v *control.View) (all []streamStatus, err error) {
	for _, s := range o.streams {
		is := statusOf(s.Name, v.Stream(s.Name))
		if err := o.ofLiveLine(ctx, v.Stream(s.Name), &is); err != nil {
			return nil, err
		}
		all = append(all, is)
	}
	return all, nil
}

func statusOf(name string, s *control.Stream) streamStatus {
	out := streamStatus{
		Stream: name, Generation: s.Live, Run: s.Run.Number, Redo: s.Redo, Reset: s.Reset, Sweep: s.Sweep, Paused: s.Paused,
	}
	if g := s.Generation(s.Live); g != nil {
		out.Since = g.At
	}
	if n := len(s.Epochs); n > 0 {
		out.Epoch = s.Epochs[n-1].Number
	}
	if s.Lost != nil {
		out.Lost = s.Lost.Why
	}
	for _, l := range s.Lines {
		l.Definition = ""
		out.Lines, out.LiveLine = append(out.Lines, l), s.LiveNumber()
	}
	return out
}

// ofLiveLine puts into a status what the control topic of the live line says, if that is not the base line.
func (o *operation) ofLiveLine(ctx context.Context, s *control.Stream, is *streamStatus) error {
	if s.LiveNumber() == control.BaseLine {
		return nil
	}
	live, err := decidedAbout(ctx, o.opts, &pipeline.Pipeline{Name: topics.LineName(o.Name, is.Stream, s.LiveNumber())}, is.Stream)
	if err != nil {
		return err
	}
	of := statusOf(is.Stream, live)
	is.Generation, is.Since, is.Epoch, is.Run, is.Redo = of.Generation, of.Since, of.Epoch, of.Run, of.Redo
	is.Lost = of.Lost
	ingest, paused := is.Paused[process.Ingest] // which is not the line's
	if is.Paused = of.Paused; paused {
		is.Paused = maps.Clone(of.Paused)
		if is.Paused == nil {
			is.Paused = map[string]control.Pause{}
		}
		is.Paused[process.Ingest] = ingest
	}
	return nil
}

func writeStatus(out io.Writer, all []streamStatus) error {
	lines := []string{"STREAM\tGENERATION\tEPOCH\tRUN\tSTATE"}
	for _, s := range all {
		generation := "-"
		if s.Generation > 0 {
			generation = fmt.Sprint(s.Generation)
		}
		lines = append(lines, fmt.Sprintf("%s\t%s\t%d\t%d\t%s", s.Stream, generation, s.Epoch, s.Run, s.state()))
	}
	return writeTable(out, lines)
}

// state says in words what is out of the ordinary.
func (s *streamStatus) state() string {
	all := s.pauses()
	if s.Lost != "" {
		all = append(all, "positions lost: "+s.Lost)
	}
	if s.Redo != nil {
		all = append(all, fmt.Sprintf("replay of generation %d %s", s.Redo.Generation, s.Redo.State))
	}
	all = append(all, s.lines()...)
	if s.Reset.Number > 0 && !s.Reset.Done {
		all = append(all, "reset begun at "+s.Reset.At.UTC().Format(time.RFC3339))
	}
	switch {
	case s.Sweep == nil:
	case s.Sweep.Deleting != "":
		all = append(all, "a sweep deletes keys")
	default:
		all = append(all, "a sweep waits for a complete pass since "+s.Sweep.At.UTC().Format(time.RFC3339))
	}
	if len(all) == 0 {
		return "runs"
	}
	return strings.Join(all, "; ")
}

// pauses says which stages are paused.
func (s *streamStatus) pauses() (all []string) {
	for _, stage := range slices.Sorted(maps.Keys(s.Paused)) {
		p := s.Paused[stage]
		text := stage + " paused since " + p.At.UTC().Format(time.RFC3339)
		if p.By != "" {
			text += " by " + p.By
		}
		if p.Why != "" {
			text += ": " + p.Why
		}
		all = append(all, text)
	}
	return all
}

// lines says how the lines are, but for the first one while it is live.
func (s *streamStatus) lines() (all []string) {
	for _, l := range s.Lines {
		switch {
		case l.State == control.LineLive && l.Number == control.BaseLine, l.State == control.LineDropped:
		case l.State == control.LineBuilding && !l.BuiltAt.IsZero():
			all = append(all, fmt.Sprintf("line %d built since %s", l.Number, l.BuiltAt.UTC().Format(time.RFC3339)))
		default:
			all = append(all, fmt.Sprintf("line %d %s", l.Number, l.State))
		}
	}
	return all
}
