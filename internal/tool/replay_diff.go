package tool

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/swap"
	"github.com/millrace-io/millrace/sink"
)

// errTablesDiffer has the exit code of a diff that found something.
var errTablesDiffer = errors.New("the tables differ")

// tableDiff is how two tables differ, as JSON. The first of two is the live one's.
type tableDiff struct {
	Stream   string           `json:"stream"`
	Tables   [2]string        `json:"tables"`
	Lines    [2]uint16        `json:"lines"`
	Same     bool             `json:"same"`
	SameKey  bool             `json:"same_key"` // else rows are counted, and columns summarized
	Rows     [2]int64         `json:"rows"`
	Equal    int64            `json:"equal"`
	Differ   int64            `json:"differ"`
	Only     [2]int64         `json:"only"`
	Moving   int64            `json:"moving"` // rows that changed at each look
	Columns  map[string]int64 `json:"columns,omitempty"`
	Lacks    [2][]string      `json:"lacks"` // columns that the other table has
	Summary  []diffSummary    `json:"summary,omitempty"`
	Examples []diffExample    `json:"examples,omitempty"`
}

type diffSummary struct {
	Column   string     `json:"column"`
	Values   [2]int64   `json:"values"` // that are not null
	Distinct [2]int64   `json:"distinct"`
	Min      [2]*string `json:"min"`
	Max      [2]*string `json:"max"`
}

type diffExample struct {
	Kind   string     `json:"kind"`
	Key    string     `json:"key"`
	Column string     `json:"column,omitempty"`
	Values [2]*string `json:"values,omitzero"`
}

// diffFlags are those of `millrace replay diff`.
type diffFlags struct {
	line   int
	wait   time.Duration
	output string
}

func newReplayDiffCommand() *cobra.Command {
	f := &diffFlags{}
	cmd := &cobra.Command{
		Use:   "diff FILE STREAM",
		Short: "Compare the live table with that of a line beside it",
		Long: `Compare the live table with that of a line beside it, while both are written: rows by their key, columns by their bytes, without locks and 10,000
rows at a time. A row that differs is looked at again when both lines have applied what either had applied, so that nothing is reported
which is only not there yet. Columns that only one of the tables has are named, and not compared. Where the keys of the tables differ no row can be compared
with another: rows are counted, and each column of both is summarized.

Exit codes: 0 the tables are the same; 1 they differ, or something needs an operator, as the last line says; 2 wrong command line or
pipeline file.`,
		Example: `  millrace replay diff shop.yaml orders
  millrace replay diff shop.yaml orders --output json | jq .columns
  millrace replay diff shop.yaml orders && millrace replay swap shop.yaml orders --yes`,
		Args: cli.Args(cobra.ExactArgs(2)),
		RunE: f.run,
	}
	cmd.Flags().IntVar(&f.line, "line", 0, "the `number` of the line (default: the newest beside the live one)")
	cmd.Flags().DurationVar(&f.wait, "wait", 5*time.Minute, "how long to wait for a line that is behind")
	cmd.Flags().StringVar(&f.output, "output", "table", "table or json")
	return cmd
}

// run is `millrace replay diff`.
func (f *diffFlags) run(cmd *cobra.Command, args []string) error {
	if f.output != "table" && f.output != "json" {
		return &cli.UsageError{Err: fmt.Errorf("--output: %q; it must be table or json", f.output)}
	}
	if f.line < 0 || f.line > 65535 {
		return &cli.UsageError{Err: fmt.Errorf("--line: %d; there is no such line", f.line)}
	}
	x, err := openLines(cmd, args[0], args[1])
	if err != nil {
		return err
	}
	defer x.close()
	d, err := x.Diff(cmd.Context(), swap.DiffAsk{Line: uint16(f.line), Wait: f.wait})
	if err != nil {
		return err
	}
	out := newTableDiff(args[1], d)
	if f.output == "json" {
		err = writeJSON(cmd.OutOrStdout(), out)
	} else {
		err = out.write(cmd.OutOrStdout())
	}
	if err == nil && !out.Same {
		err = fmt.Errorf("%s: %w", args[1], errTablesDiffer)
	}
	return err
}

func newTableDiff(stream string, d *swap.Diff) *tableDiff {
	out := &tableDiff{
		Stream: stream, Tables: d.Tables, Lines: d.Lines, Same: d.Same(), SameKey: d.Key, Rows: d.Rows, Equal: d.Equal, Differ: d.Differ,
		Only: d.Only, Moving: d.Moving, Columns: d.Columns, Lacks: d.Lacks,
	}
	for _, s := range d.Summary {
		out.Summary = append(out.Summary, diffSummary(s))
	}
	for _, e := range d.Examples {
		out.Examples = append(out.Examples, diffExample(e))
	}
	return out
}

func (d *tableDiff) write(out io.Writer) error {
	lines := []string{fmt.Sprintf("%s: %s, of line %d, which is live, and %s, of line %d", d.Stream, d.Tables[0], d.Lines[0], d.Tables[1], d.Lines[1]), ""}
	line := func(what string, n int64) { lines = append(lines, "  "+what+"\t"+humanize.Comma(n)) }
	for i, table := range d.Tables {
		line("rows of "+table, d.Rows[i])
	}
	if d.SameKey {
		line("equal", d.Equal)
		line("differ", d.Differ)
		for _, name := range slices.Sorted(maps.Keys(d.Columns)) {
			line("  "+name, d.Columns[name])
		}
		for i, table := range d.Tables {
			line("only in "+table, d.Only[i])
		}
		if d.Moving > 0 {
			line("changed at each look", d.Moving)
		}
	}
	for i, names := range d.Lacks {
		if len(names) > 0 {
			lines = append(lines, "", fmt.Sprintf("%s lacks columns, which are not compared: %s", d.Tables[i], strings.Join(names, ", ")))
		}
	}
	lines = append(lines, d.summary()...)
	if len(d.Examples) > 0 {
		lines = append(lines, "", "For example:")
	}
	for _, e := range d.Examples {
		lines = append(lines, "  "+d.text(e))
	}
	return writeTable(out, lines)
}

func (d *tableDiff) summary() (lines []string) {
	if d.SameKey {
		return nil
	}
	lines = []string{"", "The keys of the two tables differ, so no row is compared with another. The columns of both:", "", "  COLUMN\tTABLE\tVALUES\tDISTINCT\tLOWEST\tHIGHEST"}
	for _, s := range d.Summary {
		for i, table := range d.Tables {
			lines = append(lines, fmt.Sprintf("  %s\t%s\t%s\t%s\t%s\t%s", s.Column, table, humanize.Comma(s.Values[i]), humanize.Comma(s.Distinct[i]),
				valueText(s.Min[i]), valueText(s.Max[i])))
		}
	}
	return lines
}

func valueText(text *string) string {
	if text == nil {
		return "null"
	}
	return *text
}

func (d *tableDiff) text(e diffExample) string {
	switch e.Kind {
	case sink.DiffOnlyFirst:
		return "only in " + d.Tables[0] + "\t" + e.Key
	case sink.DiffOnlySecond:
		return "only in " + d.Tables[1] + "\t" + e.Key
	default:
		return fmt.Sprintf("differs\t%s\t%s: %s, and %s", e.Key, e.Column, valueText(e.Values[0]), valueText(e.Values[1]))
	}
}
