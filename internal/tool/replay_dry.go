package tool

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/replay"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/sink"
)

// dryRun is what a replay would change.
type dryRun struct {
	Stream     string           `json:"stream"`
	Table      string           `json:"table"`
	NewLogic   bool             `json:"new_logic"` // the file's logic is not the live one
	Added      int64            `json:"added"`     // rows
	Removed    int64            `json:"removed"`
	Changed    int64            `json:"changed"`
	Equal      int64            `json:"equal"`
	MovedOn    int64            `json:"moved_on"`
	Refused    int64            `json:"refused"`                // newest records of their keys
	Columns    map[string]int64 `json:"columns,omitempty"`      // changed rows, by column
	Reasons    map[string]int64 `json:"reasons,omitempty"`      // refused records, by step and kind of reason
	NotInTable []string         `json:"not_in_table,omitempty"` // columns; a replay into the table is refused then
	Next       string           `json:"next,omitempty"`         // the command that has them in another table
	Examples   []dryExample     `json:"examples,omitempty"`
}

type dryExample struct {
	Kind   string  `json:"kind"`
	Key    string  `json:"key"`
	Column string  `json:"column,omitempty"`
	Before *string `json:"before,omitempty"`
	After  *string `json:"after,omitempty"`
	Reason string  `json:"reason,omitempty"`
}

// refusedExamples is how many refused records are examples.
const refusedExamples = 10

func dryReplay(cmd *cobra.Command, path, stream string, f *replayFlags) error {
	if f.output != "table" && f.output != "json" {
		return &cli.UsageError{Err: fmt.Errorf("--output: %q; it must be table or json", f.output)}
	}
	ask, err := f.ask()
	if err != nil {
		return err
	}
	x, err := openReplay(cmd.Context(), path, stream, "", nil)
	if err != nil {
		return err
	}
	defer x.close()
	if x.foreign != nil {
		return x.foreign
	}
	out, err := x.dry(cmd, ask, int64(f.memory)<<20)
	if err != nil {
		return err
	}
	if f.output == "table" {
		return out.write(cmd.OutOrStdout())
	}
	return writeJSON(cmd.OutOrStdout(), out)
}

func (x *replaying) dry(cmd *cobra.Command, ask replay.Ask, memory int64) (*dryRun, error) {
	out := &dryRun{Stream: x.stream, Table: x.pipeline.Stream(x.stream).Sink.Table, Reasons: map[string]int64{}}
	var examples []dryExample
	plan, records, err := x.Dry(cmd.Context(), ask, memory, func(r processor.Refused) {
		out.Refused++
		out.Reasons[r.Step+": "+stage.ReasonKind(r.Reason)]++
		if len(examples) < refusedExamples {
			examples = append(examples, dryExample{Kind: string(sink.ExampleRefused), Key: r.Key, Reason: r.Step + ": " + r.Reason})
		}
	})
	if err != nil {
		return nil, err
	}
	is, err := sink.Compare(cmd.Context(), x.pipeline, x.stream, records)
	if err != nil {
		return nil, err
	}
	out.NewLogic, out.Added, out.Removed, out.Changed = plan.Other, is.Added, is.Removed, is.Changed
	out.Equal, out.MovedOn, out.Columns, out.NotInTable = is.Equal, is.MovedOn, is.Columns, is.Lacks
	if len(out.NotInTable) > 0 && plan.Other {
		out.Next = x.env.Command("replay", x.stream, "--shadow")
	}
	out.Refused += is.Refused
	for reason, n := range is.Reasons {
		out.Reasons["sink: "+reason] += n
	}
	for _, e := range is.Examples {
		out.Examples = append(out.Examples, dryExample{string(e.Kind), e.Key, e.Column, e.Before, e.After, e.Reason})
	}
	out.Examples = append(out.Examples, examples...)
	return out, nil
}

func (d *dryRun) write(out io.Writer) error {
	logic := "by the logic that is live"
	if d.NewLogic {
		logic = "by the file's logic, which is not the live one,"
	}
	lines := []string{d.Stream + ": what a replay " + logic + " would change in the table " + d.Table, ""}
	line := func(what string, n int64) { lines = append(lines, "  "+what+"\t"+humanize.Comma(n)) }
	counts := func(of map[string]int64) {
		for _, name := range slices.SortedFunc(maps.Keys(of), func(a, b string) int {
			return cmp.Or(cmp.Compare(of[b], of[a]), cmp.Compare(a, b))
		}) {
			line("  "+name, of[name])
		}
	}
	line("rows added", d.Added)
	line("rows removed", d.Removed)
	line("rows changed", d.Changed)
	counts(d.Columns)
	line("rows that stay", d.Equal)
	if d.MovedOn > 0 {
		line("rows of newer records, which stay", d.MovedOn)
	}
	line("records refused", d.Refused)
	counts(d.Reasons)
	if len(d.NotInTable) > 0 {
		lines = append(lines, "", "The table lacks columns, which are not compared: "+strings.Join(d.NotInTable, ", "),
			"A replay into it is refused until it has them.")
	}
	if d.Next != "" {
		lines = append(lines, "To have them in another table, built beside it: "+d.Next)
	}
	if len(d.Examples) > 0 {
		lines = append(lines, "", "For example:")
	}
	for _, e := range d.Examples {
		lines = append(lines, "  "+e.text())
	}
	return writeTable(out, lines)
}

func (e dryExample) text() string {
	value := func(text *string) string {
		if text == nil {
			return "null"
		}
		return *text
	}
	switch sink.ExampleKind(e.Kind) {
	case sink.ExampleChanged:
		return fmt.Sprintf("changed\t%s\t%s: %s, would be %s", e.Key, e.Column, value(e.Before), value(e.After))
	case sink.ExampleRefused:
		return fmt.Sprintf("refused\t%s\t%s", e.Key, e.Reason)
	default:
		return e.Kind + "\t" + e.Key
	}
}
