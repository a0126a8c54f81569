package tool

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/dryrun"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// history is all that there is of a key.
type history struct {
	Stream  string         `json:"stream"`
	Key     string         `json:"key"`
	Raw     []historyEntry `json:"raw"`
	Row     []sink.Field   `json:"row"` // as it is now; null: there is none, or it is not known which it would be
	Unknown bool           `json:"row_unknown,omitempty"`
	Letters []shownLetter  `json:"letters"` // open and closed
}

// historyEntry is a raw record, and what the file's steps make of it now.
type historyEntry struct {
	shownRecord

	Removes bool            `json:"removes,omitempty"` // the row goes: a tombstone, or a filter
	Rows    [][]dryrun.Cell `json:"rows,omitempty"`
	Refused *dryrun.Letter  `json:"refused,omitempty"`
}

func newTopicsGrepCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "grep FILE STREAM KEY",
		Short: "Show the whole history of a key: its raw records, what becomes of them, its row and its letters",
		Long: `Show the whole history of a raw key: each raw record that the topic still has, what the steps of the file make of it now, the row
as it is in the table, and the letters, open or closed. The key is the raw key, as ` + "`topics tail`" + ` shows it.

It reads the partition of the key and the dead-letter topic of the stream to their ends. Which row is the key's, the
steps of the file say: if they refuse all of its records, and the raw key does not have the key columns, it is not known.

Exit codes: 0 it is shown; 1 there is nothing of the key, or something that needs an operator, as the last line says; 2 wrong command
line or pipeline file.`,
		Example: `  millrace topics grep shop.yaml orders 4711
  millrace topics grep shop.yaml orders '["eu",4711]' --output json`,
		Args: cli.Args(cobra.ExactArgs(3)),
		RunE: func(cmd *cobra.Command, args []string) error { return grep(cmd, args, output) },
	}
	cmd.Flags().StringVar(&output, "output", "table", "table or json")
	return cmd
}

// grep is `millrace topics grep`.
func grep(cmd *cobra.Command, args []string, output string) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	o, err := operate(cmd.Context(), args[0], args[1:2])
	if err != nil {
		return err
	}
	defer o.close()
	h, err := o.history(cmd.Context(), args[2])
	if err != nil {
		return err
	}
	if len(h.Raw)+len(h.Letters) == 0 {
		return fmt.Errorf("stream %s: there is nothing of the key %q", h.Stream, h.Key)
	}
	if output == "json" {
		return writeJSON(cmd.OutOrStdout(), h)
	}
	return h.write(cmd.OutOrStdout())
}

// history looks up a key of the stream that the command names.
func (o *operation) history(ctx context.Context, key string) (*history, error) {
	line, err := liveLine(ctx, o.opts, o.Pipeline, o.streams[0].Name)
	if err != nil {
		return nil, err
	}
	s := line.Stream(o.streams[0].Name)
	h := &history{Stream: s.Name, Key: key, Raw: []historyEntry{}, Letters: []shownLetter{}}
	of, err := o.rawHistory(ctx, line, h)
	if err != nil {
		return nil, err
	}
	all, err := lettersOfLive(ctx, o.opts, line, s.Name, false)
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		if string(l.Record.Key) == key {
			h.Letters = append(h.Letters, shown(s.Name, l))
		}
	}
	if of == nil {
		h.Unknown = true
		return h, nil
	}
	db, err := sink.OpenAdmin(line)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	h.Row, err = db.Row(ctx, s.Name, of)
	return h, err
}

// rawHistory adds the raw records of the key, and returns what says which row it is; nil: nothing does.
func (o *operation) rawHistory(ctx context.Context, line *pipeline.Pipeline, h *history) (of *rows.Change, err error) {
	d, err := dryrun.New(line.Stream(h.Stream))
	if err != nil {
		return nil, err
	}
	from := map[int32]int64{} // no other partition is read
	for partition := range o.Kafka.Partitions {
		if partition != topics.Partition([]byte(h.Key), o.Kafka.Partitions) {
			from[partition] = math.MaxInt64
		}
	}
	err = admin.ReadFrom(ctx, o.opts, topics.RawOf(line, h.Stream), from, func(r *kgo.Record) {
		if string(r.Key) != h.Key {
			return
		}
		headers, _ := topics.ParseRawHeaders(r)
		do := d.Apply
		if r.Value == nil {
			do = d.Delete
		}
		made := do(dryrun.Record{Value: r.Value, Key: r.Key, Slice: headers.Slice, Source: headers.Source})
		e := historyEntry{shownRecord: show(r), Rows: made.Rows, Refused: made.Letter}
		e.Removes = len(made.Rows) == 0 && made.Letter == nil
		if len(made.Changes) > 0 {
			of = &made.Changes[0]
		}
		h.Raw = append(h.Raw, e)
	})
	if of == nil { // all are refused: where the raw key has the key columns, it says which row
		if made := d.Delete(dryrun.Record{Key: []byte(h.Key)}); len(made.Changes) > 0 {
			of = &made.Changes[0]
		}
	}
	return of, err
}

func (h *history) write(out io.Writer) error {
	lines := []string{"RAW RECORD\tTIME\tVALUE\tBY THE FILE'S STEPS"}
	for _, e := range h.Raw {
		value, _ := json.Marshal(e.Value)
		lines = append(lines, fmt.Sprintf("%d:%d\t%s\t%s\t%s", e.Partition, e.Offset, e.Time.Format(time.RFC3339), oneLine(string(value), 100), e.outcome()))
	}
	lines = append(lines, "", "ROW NOW\t"+h.row())
	for _, l := range h.Letters {
		lines = append(lines, "", "LETTER\t"+l.ID, "\t"+l.Time.Format(time.RFC3339)+fmt.Sprintf(", attempt %d, ", l.Attempt)+l.State,
			"\t"+l.Step+": "+oneLine(l.Reason, 200))
		if l.Closed != nil && l.Closed.Why != "" {
			lines = append(lines, "\t"+l.Closed.Why)
		}
	}
	return writeTable(out, lines)
}

func (h *history) row() string {
	switch {
	case h.Unknown:
		return "not known: by the file's steps no record says which row is the key's"
	case h.Row == nil:
		return "none"
	}
	var all []string
	for _, f := range h.Row {
		all = append(all, f.Column+"="+orNull(f.Value))
	}
	return strings.Join(all, " ")
}

func orNull(value *string) string {
	if value == nil {
		return "null"
	}
	return *value
}

// outcome says what the steps make of a record.
func (e *historyEntry) outcome() string {
	switch {
	case e.Refused != nil:
		return "refused at " + e.Refused.Step + ": " + oneLine(e.Refused.Reason, 100)
	case e.Removes:
		return "no row"
	}
	var all []string
	for _, row := range e.Rows {
		var cells []string
		for _, c := range row {
			cells = append(cells, c.Column+"="+orNull(c.Value))
		}
		all = append(all, strings.Join(cells, " "))
	}
	return strings.Join(all, "; ")
}
