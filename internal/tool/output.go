package tool

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/millrace-io/millrace/internal/cli"
)

// writeJSON writes a value for programs, indented. It goes into no web page, so that < and > stay as they are.
func writeJSON(out io.Writer, value any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(value)
}

// checkOutput refuses a format that there is not.
func checkOutput(output string) error {
	if output != "table" && output != "json" {
		return &cli.UsageError{Err: fmt.Errorf("--output: %q; want table or json", output)}
	}
	return nil
}
