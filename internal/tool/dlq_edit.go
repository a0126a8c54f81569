package tool

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/dryrun"
	"github.com/millrace-io/millrace/internal/letters"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// mostEdited is how many letters an editor is given at once.
const mostEdited = 200

// editable are the open letters of the live line of a stream whose raw records can be edited.
type editable struct {
	*operation

	line    *pipeline.Pipeline
	stream  *pipeline.Stream
	steps   *dryrun.Stream
	letters []*letters.Letter // open, as chosen
	byID    map[string]*letters.Letter
	epoch   uint16
	earlier map[uint16]bool // epochs of the raw topic from before its partitions grew
}

// onStream has a command reach the servers of one stream, and leaves them after it.
func onStream(ctx context.Context, path, stream string, command func(*operation) error) error {
	o, err := operate(ctx, path, []string{stream})
	if err != nil {
		return err
	}
	defer o.close()
	return command(o)
}

// openEditable reads the letters of the stream that o is on. writes says that it is for a command that may write.
func openEditable(ctx context.Context, o *operation, f *letterFilter, writes bool) (_ *editable, err error) {
	e, stream := &editable{operation: o, byID: map[string]*letters.Letter{}}, o.streams[0].Name
	view, err := e.decided(ctx)
	if err != nil {
		return nil, err
	}
	decided := view.Stream(stream)
	if err := decided.GrowRefusesFile(o.Kafka.Partitions); err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream, err)
	}
	if e.line, err = liveOf(o.Pipeline, stream, decided); err != nil {
		return nil, err
	}
	e.stream = e.line.Stream(stream)
	if n := len(decided.Epochs); n > 0 {
		e.epoch = decided.Epochs[n-1].Number
		e.earlier = decided.EarlierEpochs(e.epoch)
	}
	if e.steps, err = dryrun.New(o.Stream(stream)); err != nil {
		return nil, err
	}
	if writes {
		if err := e.abortAbandoned(ctx); err != nil {
			return nil, err
		}
	}
	all, err := lettersOfLive(ctx, o.opts, e.line, stream, true)
	if err != nil {
		return nil, err
	}
	e.letters = f.open(all)
	for _, l := range all {
		e.byID[l.Origin.ID] = l
	}
	return e, nil
}

// abortAbandoned aborts what a command has left open that died while it wrote: else who reads the letters waits until
// it times out.
func (e *editable) abortAbandoned(ctx context.Context) error {
	ids := map[int32]string{}
	for n := range e.Kafka.Partitions {
		ids[n] = topics.EditTransactionalID(e.line.Name, e.stream.Name)
	}
	for _, topic := range []string{topics.RawOf(e.line, e.stream.Name), topics.DeadLetters(e.line.Name, e.stream.Name)} {
		if err := admin.AbortAbandoned(ctx, e.client, topic, ids); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			return err
		}
	}
	return nil
}

// check says why a record cannot be what a letter's becomes; nil: it can. It is asked of the file's steps and key.
func (e *editable) check(l *letters.Letter, value []byte) error {
	if !json.Valid(value) {
		var v any
		return fmt.Errorf("it is no JSON: %w", json.Unmarshal(value, &v))
	}
	headers, err := topics.ParseRawHeaders(l.Record)
	if err != nil {
		return err
	}
	if !e.child() {
		key, reason := e.steps.Key(value, headers.Slice)
		if reason != "" {
			return errors.New(reason)
		}
		if !bytes.Equal(key, l.Record.Key) {
			return fmt.Errorf("its key is %q: the key of a record stays, and was %q", key, l.Record.Key)
		}
	}
	made := e.steps.Apply(dryrun.Record{Value: value, Key: l.Record.Key, Slice: headers.Slice, Source: headers.Source})
	if made.Letter != nil {
		return fmt.Errorf("it is refused at %s: %s", made.Letter.Step, made.Letter.Reason)
	}
	return nil
}

// child reports whether keys are made from more than the record.
func (e *editable) child() bool { return e.stream.Ingest.ForEach != nil }

// write writes edits to the raw topic.
func (e *editable) write(ctx context.Context, edits []letters.Edit) (letters.Edited, error) {
	return letters.Write(ctx, letters.EditConfig{
		Pipeline: e.line.Name, Stream: e.stream.Name, Raw: topics.RawOf(e.line, e.stream.Name), Partitions: e.Kafka.Partitions,
		Control: e.control, MaxBytes: e.Kafka.MaxRecordBytes,
	}, edits)
}

// editedLetters says what became of letters that were edited.
type editedLetters struct {
	Stream string `json:"stream"`
	DryRun bool   `json:"dry_run,omitempty"`
	letters.Edited

	Unchanged int `json:"unchanged"` // they stay open
}

func (e *editedLetters) write(cmd *cobra.Command, output string) error {
	if output == "json" {
		return encode(cmd.OutOrStdout(), e)
	}
	would := ""
	if e.DryRun {
		would = "would be "
	}
	text := []string{fmt.Sprintf("%s: %s %sedited", e.Stream, count(e.Edited.Edited, "letter"), would)}
	for _, of := range []struct {
		n    int
		text string
	}{
		{e.Superseded, "superseded"}, {e.Closed, "closed before"}, {e.NoRecord, "without a raw record, and stay open"},
		{e.BeforeGrow, "of before the partitions grew, and stay open: `millrace dlq retry` them first"}, {e.Unchanged, "unchanged, and stay open"},
	} {
		if of.n > 0 {
			text = append(text, fmt.Sprintf("%d %s", of.n, of.text))
		}
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.Join(text, ", "))
	return err
}

// editLetters is `dlq retry --edit`.
func editLetters(cmd *cobra.Command, o *operation, f *retryFlags) error {
	ctx := cmd.Context()
	e, err := openEditable(ctx, o, &f.letterFilter, !f.dry)
	if err != nil {
		return err
	}
	stream := e.stream.Name
	out := &editedLetters{Stream: stream, DryRun: f.dry}
	var chosen []*letters.Letter
	for _, l := range e.letters {
		if e.earlier[l.Position.Epoch] && l.Retryable() {
			out.BeforeGrow++
			continue
		}
		if !l.Retryable() || !json.Valid(l.Record.Value) || l.Stage == "sink" {
			out.NoRecord++ // a letter of a sink holds the row
			continue
		}
		chosen = append(chosen, l)
	}
	if e.letters, err = e.withRaw(ctx, e.letters, chosen, out); err != nil {
		return err
	}
	if len(e.letters) > mostEdited {
		return fmt.Errorf("%s are open, and an editor is given %d at most: choose some with --key, --step or --reason, or edit a file: millrace dlq export %s %s",
			count(len(e.letters), "letter"), mostEdited, e.file, stream)
	}
	if len(e.letters) == 0 {
		return out.write(cmd, f.output)
	}
	edits, err := e.inEditor(ctx, cmd)
	if err != nil {
		return err
	}
	out.Unchanged = len(e.letters) - len(edits)
	if out.Edited.Edited = len(edits); len(edits) > 0 && !f.dry {
		if err := confirm(cmd, f.yes, fmt.Sprintf("%s: write %s to the raw topic, in the place of what was refused?", stream, count(len(edits), "edited record"))); err != nil {
			return err
		}
		without, grown := out.NoRecord, out.BeforeGrow
		if out.Edited, err = e.write(ctx, edits); err != nil {
			return err
		}
		out.NoRecord, out.BeforeGrow = out.NoRecord+without, out.BeforeGrow+grown
	}
	return out.write(cmd, f.output)
}

// withRaw adds letters of sinks, whose records are rows, with the raw records that these were made of.
func (e *editable) withRaw(ctx context.Context, all, chosen []*letters.Letter, out *editedLetters) ([]*letters.Letter, error) {
	of := map[topics.RawPosition]*letters.Letter{}
	for _, l := range all {
		if l.Stage == "sink" && l.Retryable() && l.Position.Epoch == e.epoch {
			of[l.Position] = l
		}
	}
	if len(of) == 0 {
		return chosen, nil
	}
	err := readRaw(ctx, e.opts, topics.RawOf(e.line, e.stream.Name), func(r *kgo.Record) {
		at := topics.RawPosition{InRaw: true, Epoch: e.epoch, Partition: r.Partition, Offset: r.Offset}
		if l := of[at]; l != nil && json.Valid(r.Value) {
			l.Record.Value, l.Record.Headers = r.Value, append(slices.Clip(l.Record.Headers), r.Headers...)
			chosen = append(chosen, l)
			out.NoRecord--
		}
	})
	return chosen, err
}

// inEditor has a person edit the records. It returns those that were changed.
func (e *editable) inEditor(ctx context.Context, cmd *cobra.Command) ([]letters.Edit, error) {
	dir, err := os.MkdirTemp("", "millrace-edit-")
	if err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "letters.txt")
	text, before := e.text(nil, nil), ""
	for {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return nil, err
		}
		if err := runEditor(ctx, cmd, name); err != nil {
			return nil, fmt.Errorf("%w; nothing was done", err)
		}
		is, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		values, problems := e.parse(string(is))
		if len(problems) == 0 {
			return e.changed(values), os.RemoveAll(dir)
		}
		if string(is) == before { // it was given back as it was
			return nil, fmt.Errorf("nothing was done: %s; what was edited is in %s", problems[0], name)
		}
		text = e.again(string(is), problems)
		before = text
	}
}

// runEditor runs $VISUAL or $EDITOR, as a shell would.
func runEditor(ctx context.Context, cmd *cobra.Command, name string) error {
	editor := cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"), "vi")
	c := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", name) //nolint:gosec // the user's own setting, as git runs it
	c.Stdin, c.Stdout, c.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	if err := c.Run(); err != nil {
		return fmt.Errorf("editor %s: %w", editor, err)
	}
	return nil
}
