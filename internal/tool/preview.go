package tool

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/preview"
	"github.com/millrace-io/millrace/pipeline"
)

// previewFlags are those of `millrace preview`.
type previewFlags struct {
	pages, records int
	slice, output  string
	columns        bool
}

// newPreviewCommand is `millrace preview`.
func newPreviewCommand() *cobra.Command {
	f := &previewFlags{}
	cmd := &cobra.Command{
		Use:   "preview FILE [STREAM]",
		Short: "Fetch the first pages of a stream and show what becomes of them, without Kafka and a database",
		Long: `Fetch the first pages of a stream and show, without Kafka and a database: the requests with their status and what the API
says of its limits; the records found, their keys, the next page and why the pass would end; each record after every step;
and the row with its types. It asks, cuts, steps and makes rows with the code of the stages.

Warnings name what is likely a mistake: a field that no record has, values that do not fit their columns, keys that came
twice, an order that changes under the pages. With --columns it proposes a map and columns from what came.

STREAM may be left out where the file has one. It exits with 1 if the stage would wait: for the API, or for an operator.`,
		Example: `  millrace preview shop.yaml orders
  millrace preview shop.yaml orders --pages 3 --records 1 --columns
  millrace preview shop.yaml orders --output json | jq .counts`,
		Args:              cli.Args(cobra.RangeArgs(1, 2)),
		ValidArgsFunction: cli.CompleteStream,
		RunE:              f.run,
	}
	f.flags(cmd.Flags())
	return cmd
}

func (f *previewFlags) flags(flags *pflag.FlagSet) {
	flags.IntVar(&f.pages, "pages", 2, "fetch this `number` of pages at most")
	flags.IntVar(&f.records, "records", 3, "show this `number` of records step by step; the counts and warnings are over all")
	flags.StringVar(&f.slice, "slice", "", "`name` of the slice to look at (default the first; with for_each, those of the first three records of the parent)")
	flags.BoolVar(&f.columns, "columns", false, "propose a map and columns")
	flags.StringVar(&f.output, "output", "text", "text or json")
}

// fileAndStream loads a pipeline file and finds a stream of it, the only one if none is named.
func fileAndStream(args []string) (*pipeline.Pipeline, *pipeline.Stream, error) {
	p, err := cli.LoadPipeline(args[0])
	if err != nil {
		return nil, nil, err
	}
	s, err := streamOf(p, args)
	return p, s, err
}

func streamOf(p *pipeline.Pipeline, args []string) (*pipeline.Stream, error) {
	if len(args) > 1 {
		if _, err := p.Choose(args[1:2]); err != nil {
			return nil, &cli.UsageError{Err: err}
		}
		return p.Stream(args[1]), nil
	}
	if len(p.Streams) != 1 {
		return nil, &cli.UsageError{Err: fmt.Errorf("the pipeline has %d streams: name one", len(p.Streams))}
	}
	return &p.Streams[0], nil
}

// Somebody waits for the answer: it is not tried for minutes.
const (
	previewAttempts = 3
	previewWait     = 5 * time.Second
)

// impatient bounds how often a stream, and those that it is made from, are tried.
func impatient(p *pipeline.Pipeline, s *pipeline.Stream) {
	for _, s := range append(p.Ancestors(s), s) {
		retry := &s.Ingest.HTTP.Retry
		retry.Attempts, retry.Max = min(retry.Attempts, previewAttempts), min(retry.Max, previewWait)
	}
}

// run is `millrace preview`.
func (f *previewFlags) run(cmd *cobra.Command, args []string) error {
	p, s, err := fileAndStream(args)
	if err != nil {
		return err
	}
	if f.output != "text" && f.output != "json" {
		return &cli.UsageError{Err: fmt.Errorf("--output: %q; it must be text or json", f.output)}
	}
	if f.pages < 1 || f.records < 0 {
		return &cli.UsageError{Err: errors.New("--pages must be 1 or more, --records 0 or more")}
	}
	impatient(p, s)
	report, err := preview.Run(cmd.Context(), p, preview.Options{Stream: s.Name, Slice: f.slice, Pages: f.pages, Records: f.records})
	if err != nil {
		return err
	}
	if f.columns {
		report.Propose(s)
	}
	if err := writeReport(cmd.OutOrStdout(), report, f.output); err != nil {
		return err
	}
	if report.Error != "" {
		return errors.New(report.Error)
	}
	return nil
}

func writeReport(out io.Writer, report *preview.Report, format string) error {
	if format == "text" {
		return report.WriteText(out)
	}
	return writeJSON(out, report)
}
