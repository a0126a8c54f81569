package tool

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/letters"
	"github.com/millrace-io/millrace/topics/admin"
)

// exportedLetter is a line of an export.
type exportedLetter struct {
	shownLetter

	Position *exportedPosition `json:"position"` // of the raw record; null: there is none
	Headers  map[string]any    `json:"headers"`
	Value    json.RawMessage   `json:"value"` // as the API sent it; a text, if that is no JSON
}

type exportedPosition struct {
	Epoch     uint16 `json:"epoch"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

func newDLQExportCommand() *cobra.Command {
	var f letterFilter
	cmd := &cobra.Command{
		Use:   "export FILE STREAM",
		Short: "Write open letters of a stream as NDJSON, to be edited and imported",
		Long: `Write the open letters of a stream to stdout as NDJSON, a line each, with all that there is: where it was refused and why, the position
of the raw record, its key, its headers, and its value. Edit the values, delete the lines of records that you do not edit, and give the
file to ` + "`millrace dlq import`" + `.

Exit codes: 0 they are written, or there are none; 1 something that needs an operator, as the last line says; 2 wrong command line or
pipeline file.`,
		Example: `  millrace dlq export shop.yaml orders > refused.ndjson
  millrace dlq export shop.yaml orders --step "process[0].map.total" > refused.ndjson`,
		Args: cli.Args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return onStream(cmd.Context(), args[0], args[1], func(o *operation) error { return exportLetters(cmd, o, &f) })
		},
	}
	f.flags(cmd, "reason")
	return cmd
}

func exportLetters(cmd *cobra.Command, o *operation, f *letterFilter) error {
	e, err := openEditable(cmd.Context(), o, f, false)
	if err != nil {
		return err
	}
	if _, err := e.withRaw(cmd.Context(), e.letters, nil, &editedLetters{}); err != nil {
		return err
	}
	out := json.NewEncoder(cmd.OutOrStdout())
	out.SetEscapeHTML(false)
	for _, l := range e.letters {
		if err := out.Encode(exported(e.stream.Name, l)); err != nil {
			return err
		}
	}
	return nil
}

func exported(stream string, l *letters.Letter) exportedLetter {
	x := exportedLetter{shownLetter: shown(stream, l), Headers: show(l.Record).Headers, Value: l.Record.Value}
	if !json.Valid(l.Record.Value) {
		x.Value, _ = json.Marshal(string(l.Record.Value))
	}
	if at := l.Position; at.InRaw {
		x.Position = &exportedPosition{at.Epoch, at.Partition, at.Offset}
	}
	return x
}

type importFlags struct {
	dry, yes bool
	output   string
}

func newDLQImportCommand() *cobra.Command {
	f := &importFlags{}
	cmd := &cobra.Command{
		Use:   "import FILE STREAM NDJSON",
		Short: "Write edited letters of a stream back, each once",
		Long: `Write the records of an edited export to the raw topic, in the place of what was refused, and close their letters, in one Kafka
transaction: each once, however often the command is run. A record counts as the newest of its key only if what was refused is the newest; else
its letter is closed as superseded. The processors take the records as they come. NDJSON is a file; - is stdin.

Of a line only id and value count. Every id must be one of a letter of the stream, once; every value must be JSON, keep its key, and pass the
steps and the columns of the file: else nothing is done, and each line that is wrong is named. A value that is not changed is left out: ` + "`millrace dlq retry`" + ` is
for those.

Exit codes: 0 all that was changed is written; 1 something is wrong, or needs an operator; 2 wrong command line or pipeline file.`,
		Example: `  millrace dlq import shop.yaml orders refused.ndjson --dry-run
  millrace dlq import shop.yaml orders refused.ndjson --yes
  millrace dlq import shop.yaml orders refused.ndjson --yes --output json`,
		Args: cli.Args(cobra.ExactArgs(3)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(f.output); err != nil {
				return err
			}
			return withInput(cmd, args[2], func(in io.Reader) error {
				return onStream(cmd.Context(), args[0], args[1], func(o *operation) error { return importLetters(cmd, o, in, f) })
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.dry, "dry-run", false, "change nothing; check the file, and say what would be done")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	flags.StringVar(&f.output, "output", "table", "table or json")
	return cmd
}

// withInput calls read with the file of that name; -: stdin.
func withInput(cmd *cobra.Command, name string, read func(io.Reader) error) error {
	if name == "-" {
		return read(cmd.InOrStdin())
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return read(file)
}

func importLetters(cmd *cobra.Command, o *operation, in io.Reader, f *importFlags) error {
	ctx := cmd.Context()
	e, err := openEditable(ctx, o, &letterFilter{}, !f.dry)
	if err != nil {
		return err
	}
	stream := e.stream.Name
	if _, err := e.withRaw(ctx, e.letters, nil, &editedLetters{}); err != nil {
		return err
	}
	out := &editedLetters{Stream: stream, DryRun: f.dry}
	edits, err := e.lines(in, out)
	if err != nil {
		return err
	}
	if out.Edited.Edited = len(edits); len(edits) > 0 && !f.dry {
		if err := confirm(cmd, f.yes, fmt.Sprintf("%s: write %s to the raw topic, in the place of what was refused?", stream, count(len(edits), "edited record"))); err != nil {
			return err
		}
		closed, grown := out.Closed, out.BeforeGrow
		if out.Edited, err = e.write(ctx, edits); err != nil {
			return fmt.Errorf("%w; run the command again: each is written once", err)
		}
		out.Closed, out.BeforeGrow = out.Closed+closed, out.BeforeGrow+grown
	}
	return out.write(cmd, f.output)
}

// lines reads an edited export. The error names all lines that are wrong.
func (e *editable) lines(in io.Reader, out *editedLetters) (edits []letters.Edit, err error) {
	var wrong []error
	seen := map[string]bool{}
	lines := bufio.NewReader(in)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			edit, err := e.one(line, seen, out)
			if err != nil {
				wrong = append(wrong, fmt.Errorf("line %d: %w", n, err))
			} else if edit != nil {
				edits = append(edits, *edit)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("nothing was done: %w", errors.Join(wrong...))
	}
	return edits, nil
}

// one reads one line; nil: there is nothing to do.
func (e *editable) one(line []byte, seen map[string]bool, out *editedLetters) (*letters.Edit, error) {
	var x struct {
		ID    string          `json:"id"`
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(line, &x); err != nil {
		return nil, fmt.Errorf("it is no JSON object: %w", err)
	}
	l := e.byID[x.ID]
	switch {
	case l == nil:
		return nil, fmt.Errorf("there is no letter with the id %q in the stream %s", x.ID, e.stream.Name)
	case seen[x.ID]:
		return nil, fmt.Errorf("the id %s is there twice", x.ID)
	}
	seen[x.ID] = true
	if l.Closed != nil {
		out.Closed++
		return nil, nil //nolint:nilnil // there is nothing to do
	}
	if !l.Retryable() {
		return nil, fmt.Errorf("the letter %s has no raw record: the API has to send it again", x.ID)
	}
	if e.earlier[l.Position.Epoch] {
		out.BeforeGrow++
		return nil, nil //nolint:nilnil // there is nothing to do
	}
	if same(x.Value, l.Record.Value) {
		out.Unchanged++
		return nil, nil //nolint:nilnil // there is nothing to do
	}
	if err := e.check(l, x.Value); err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, x.Value); err != nil {
		return nil, err
	}
	return &letters.Edit{ID: x.ID, Value: compact.Bytes()}, nil
}

// readRaw reads a raw topic to its end.
func readRaw(ctx context.Context, opts []kgo.Opt, topic string, f func(*kgo.Record)) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	return admin.Read(ctx, opts, topic, f)
}
