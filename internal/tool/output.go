package tool

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"github.com/millrace-io/millrace/internal/cli"
)

// writeJSON writes a value for programs, indented. It goes into no web page, so that < and > stay as they are.
func writeJSON(out io.Writer, value any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(value)
}

// outputFlag is --output of a command that says in a line what it has done.
func outputFlag(flags *pflag.FlagSet, output *string) {
	flags.StringVar(output, "output", "table", "table (what was done, in words) or json")
}

// writeDone writes what was done: in words for people, or as JSON.
func writeDone(out io.Writer, output string, done any, format string, args ...any) error {
	if output == "json" {
		return writeJSON(out, done)
	}
	_, err := fmt.Fprintf(out, format, args...)
	return err
}

// checkOutput refuses a format that there is not.
func checkOutput(output string) error {
	if output != "table" && output != "json" {
		return &cli.UsageError{Err: fmt.Errorf("--output: %q; want table or json", output)}
	}
	return nil
}

// writeTable writes lines of cells, with tabs between them.
func writeTable(out io.Writer, lines []string) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	if _, err := fmt.Fprintln(w, strings.Join(lines, "\n")); err != nil {
		return err
	}
	return w.Flush()
}
