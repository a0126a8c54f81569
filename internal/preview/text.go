package preview

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/millrace-io/millrace/internal/dryrun"
)

// WriteText writes the report for people.
func (r *Report) WriteText(out io.Writer) error {
	if _, err := io.WriteString(out, r.requestsText()+r.pagesText()); err != nil {
		return err
	}
	for i := range r.Records {
		if err := r.Records[i].WriteText(out); err != nil {
			return err
		}
	}
	var b strings.Builder
	c := r.Counts
	fmt.Fprintf(&b, "\n%s with %s: %s, %d without a row, %s\n", plural(c.Records, "record"), plural(c.Keys, "key"), plural(c.Rows, "row"), c.Filtered,
		plural(c.Letters, "dead letter"))
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	if len(r.Columns) > 0 {
		b.WriteString("\nproposed, from these records:\n" + r.columnsText())
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// requestsText is what was asked, and what came back.
func (r *Report) requestsText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, stream %s", r.Pipeline, r.Stream)
	if r.Slice != "" {
		fmt.Fprintf(&b, ", slice %s", r.Slice)
	}
	b.WriteString("\n\nrequests\n")
	for _, q := range r.Requests {
		fmt.Fprintf(&b, "  %s %s\n    %s, %d ms", q.Method, q.URL, statusOf(q), q.Millis)
		for _, name := range slices.Sorted(maps.Keys(q.Limits)) {
			fmt.Fprintf(&b, ", %s: %s", name, q.Limits[name])
		}
		b.WriteString("\n")
	}
	return b.String()
}

// pagesText is the pages, and why there are no more.
func (r *Report) pagesText() string {
	var b strings.Builder
	b.WriteString("\npages\n")
	for i, p := range r.Pages {
		fmt.Fprintf(&b, "  %d: %d records, %d bytes", i+1, p.Records, p.Bytes)
		if p.Since != "" {
			fmt.Fprintf(&b, ", changed since %s", p.Since)
		}
		if p.Shape != "" {
			fmt.Fprintf(&b, ", taken for records of the shape %s", p.Shape)
		}
		b.WriteString("\n")
		if p.Rest != "" {
			fmt.Fprintf(&b, "     besides: %s\n", p.Rest)
		}
		if p.Next != "" {
			fmt.Fprintf(&b, "     next: %s\n", p.Next)
		}
	}
	if r.Error != "" {
		fmt.Fprintf(&b, "  waits: %s\n", r.Error)
	} else {
		fmt.Fprintf(&b, "  ends: %s\n", r.Ended)
	}
	return b.String()
}

func statusOf(q Request) string {
	if q.Error != "" {
		return "no answer: " + q.Error
	}
	return fmt.Sprint(q.Status)
}

// columnsText is proposed columns as they stand in a pipeline file.
func (r *Report) columnsText() string {
	var maps, columns strings.Builder
	for _, c := range r.Columns {
		fmt.Fprintf(&maps, "          %s: %s\n", c.Name, yamlText(c.Expr))
		fmt.Fprintf(&columns, "        %s: %s", c.Name, yamlText(c.Type))
		if c.Guess != "" {
			columns.WriteString("   # GUESS: " + c.Guess)
		}
		columns.WriteString("\n")
	}
	return "    process:\n      - map:\n" + maps.String() + "    sink:\n      columns:\n" + columns.String()
}

func yamlText(s string) string {
	if strings.ContainsAny(s, ":#{}[],&*?|>'\"%@`,") {
		quoted, _ := json.Marshal(s)
		if !strings.Contains(s, "'") {
			return "'" + s + "'"
		}
		return string(quoted)
	}
	return s
}

// WriteText writes a record, what it is after every step, and its rows.
func (r *Record) WriteText(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nrecord %s", r.Key)
	if r.Version != nil {
		fmt.Fprintf(&b, ", version %d", *r.Version)
	}
	if r.At != "" {
		fmt.Fprintf(&b, ", raw %s", r.At)
	}
	fmt.Fprintf(&b, "\n  %s\n", short(string(r.Value), 600))
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "  %s → %s\n", s.Step, short(string(s.Value), 600))
	}
	switch {
	case r.Letter != nil:
		fmt.Fprintf(&b, "  dead letter of the %s: %s: %s\n", r.Letter.Stage, r.Letter.Step, r.Letter.Reason)
	case len(r.Rows) == 0 && string(r.Value) == "null":
		b.WriteString("  no row: a tombstone, the record is deleted at the API\n")
	case len(r.Rows) == 0:
		b.WriteString("  no row: a filter refuses it\n")
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return err
	}
	for _, row := range r.Rows {
		if err := writeRow(out, row); err != nil {
			return err
		}
	}
	return nil
}

func writeRow(out io.Writer, row []dryrun.Cell) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, c := range row {
		value := "NULL"
		if c.Value != nil {
			value = short(*c.Value, 200)
		}
		line := fmt.Sprintf("    %s\t%s\t%s", c.Column, c.Type, value)
		if c.Doubt != "" {
			line += "   ! " + c.Doubt
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return w.Flush()
}
