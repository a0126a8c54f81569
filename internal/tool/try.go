package tool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/dryrun"
	"github.com/millrace-io/millrace/internal/preview"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/pipeline/file"
)

// tryFlags are those of `millrace try`.
type tryFlags struct {
	record string
	slice  string
	output string
	watch  bool

	raw    bool
	offset string
	key    string
	since  string
	limit  int
}

// newTryCommand is `millrace try`.
func newTryCommand() *cobra.Command {
	f := &tryFlags{}
	cmd := &cobra.Command{
		Use:   "try FILE [STREAM]",
		Short: "Run the steps of a stream on records from a file, stdin or the raw topic, and show them after every step",
		Long: `Run the steps of a stream on records from a file or stdin, and show each record after every step, and its row with the types.
Nothing is contacted, and references of the pipeline file need not resolve.

The records are JSON: one object, an array of objects, or one after the other.

With --raw, --offset, --key or --since they are those of the stream's raw topic, as the API sent them: the last ones, the one at
an offset, those of a key, or those since a time. Then the brokers are contacted, or the process that has them embedded; nothing
is written.

With --watch it does so again whenever the pipeline file or the file with the records changes.`,
		Example: `  millrace try shop.yaml orders --record order.json
  millrace try shop.yaml orders --record order.json --watch
  millrace try shop.yaml orders --key 4711
  millrace try shop.yaml orders --offset 3:42 --watch
  millrace try shop.yaml orders --since 1h --limit 5
  curl -s https://api.example.com/v2/orders/1 | millrace try shop.yaml orders`,
		Args:              cli.Args(cobra.RangeArgs(1, 2)),
		ValidArgsFunction: cli.CompleteStream,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.output != "text" && f.output != "json" {
				return &cli.UsageError{Err: fmt.Errorf("--output: %q; it must be text or json", f.output)}
			}
			if f.watch {
				return f.again(cmd.Context(), cmd, args)
			}
			return f.once(cmd, args)
		},
	}
	f.flags(cmd.Flags())
	return cmd
}

func (f *tryFlags) flags(flags *pflag.FlagSet) {
	flags.StringVar(&f.record, "record", "-", "`file` with the records; - is stdin")
	flags.StringVar(&f.slice, "slice", "", "`name` of the slice that they come from; records of the raw topic say it themselves")
	flags.BoolVar(&f.raw, "raw", false, "take the last records of the raw topic")
	flags.StringVar(&f.offset, "offset", "", "take the record of the raw topic at this `partition:offset`, as millrace topics tail shows it")
	flags.StringVar(&f.key, "key", "", "take the records of the raw topic with this raw `key`, from the oldest on")
	flags.StringVar(&f.since, "since", "", "take the records of the raw topic since a `time` (RFC 3339) or a duration back from now, such as 24h")
	flags.IntVar(&f.limit, "limit", 20, "take this `number` of records of the raw topic at most")
	flags.StringVar(&f.output, "output", "text", "text or json")
	flags.BoolVar(&f.watch, "watch", false, "do it again when a file changes, until interrupted")
}

func (f *tryFlags) once(cmd *cobra.Command, args []string) error {
	got, err := file.Inspect(args[0], true)
	if err != nil {
		return &cli.FileError{Path: args[0], Err: err}
	}
	for _, w := range got.Warnings {
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), w.Warning())
	}
	s, err := streamOf(got.Pipeline, args)
	if err != nil {
		return err
	}
	if f.ofTopic() {
		records, err := f.rawRecords(cmd.Context(), args[0], s.Name)
		if err != nil {
			return err
		}
		return f.show(cmd.OutOrStdout(), s, records)
	}
	values, err := f.records(cmd.InOrStdin())
	if err != nil {
		return &cli.UsageError{Err: err}
	}
	records := make([]tried, len(values))
	for i, v := range values {
		records[i] = tried{value: v, slice: f.slice}
	}
	return f.show(cmd.OutOrStdout(), s, records)
}

// tried is a record that the steps are run on.
type tried struct {
	value jsontext.Value // nil: a tombstone
	slice string
	key   string // of one from the raw topic
	at    string // where in the raw topic it is; empty: it is not from there
}

func (f *tryFlags) show(out io.Writer, s *pipeline.Stream, records []tried) error {
	d, err := dryrun.New(s)
	if err != nil {
		return err
	}
	letters := 0
	var all []preview.Record
	for _, r := range records {
		x := preview.Record{Key: r.key, Value: json.RawMessage("null"), Steps: []preview.Step{}} // a tombstone
		if r.value != nil {
			x = preview.Apply(d, r.value, r.slice)
		}
		x.At = r.at
		if x.Letter != nil {
			letters++
		}
		all = append(all, x)
	}
	write := writeTried
	if f.output == "json" {
		write = func(out io.Writer, all []preview.Record, _ []string) error { return writeJSON(out, all) }
	}
	if err := write(out, all, d.Unseen()); err != nil {
		return err
	}
	if letters > 0 {
		return fmt.Errorf("%d of %s would be dead letters", letters, count(len(records), "record"))
	}
	return nil
}

// writeTried writes records and warnings for people.
func writeTried(out io.Writer, all []preview.Record, warnings []string) error {
	for i := range all {
		if err := all[i].WriteText(out); err != nil {
			return err
		}
	}
	for _, text := range warnings {
		if _, err := fmt.Fprintln(out, "warning: "+text); err != nil {
			return err
		}
	}
	return nil
}

// records reads JSON values: one, the elements of an array, or one after the other.
func (f *tryFlags) records(stdin io.Reader) ([]jsontext.Value, error) {
	in := stdin
	if f.record != "-" {
		data, err := os.ReadFile(f.record)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(data)
	}
	out, err := readValues(in)
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, errors.New("there is no record: give one with --record FILE, or on stdin")
	}
	return out, nil
}

// readValues reads JSON values to the end; of an array, its elements.
func readValues(in io.Reader) (out []jsontext.Value, err error) {
	dec := jsontext.NewDecoder(in, jsontext.AllowDuplicateNames(true))
	for {
		v, err := dec.ReadValue()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the records are no JSON: %w", err)
		}
		if v.Kind() != '[' {
			out = append(out, v.Clone())
			continue
		}
		var elements []json.RawMessage
		if err := json.Unmarshal(v, &elements); err != nil {
			return nil, err
		}
		for _, e := range elements {
			out = append(out, jsontext.Value(e))
		}
	}
}

// watchEvery is how often files are looked at.
const watchEvery = 200 * time.Millisecond

// again does it whenever one of the files changes. What is wrong is shown, and does not end it.
func (f *tryFlags) again(ctx context.Context, cmd *cobra.Command, args []string) error {
	if f.record == "-" && !f.ofTopic() {
		return &cli.UsageError{Err: errors.New("--watch needs --record FILE, or records of the raw topic: stdin can be read only once")}
	}
	seen := ""
	for ctx.Err() == nil {
		if is := stamp(args[0]) + stamp(f.record); is != seen {
			seen = is
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "--- %s\n", time.Now().Format(time.TimeOnly))
			if err := f.once(cmd, args); err != nil {
				_, _ = fmt.Fprintln(cmd.OutOrStdout(), err)
			}
		}
		_ = stage.Sleep(ctx, watchEvery)
	}
	return nil
}

// stamp is what of a file changes when it is written.
func stamp(name string) string {
	info, err := os.Stat(name)
	if err != nil {
		return "none;"
	}
	return fmt.Sprintf("%d %d;", info.Size(), info.ModTime().UnixNano())
}
