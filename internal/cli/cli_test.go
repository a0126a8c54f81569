package cli_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
)

// TestTheLastLineDoesNotStutter: a binary and its stage have one name.
func TestTheLastLineDoesNotStutter(t *testing.T) {
	for in, want := range map[string]string{
		strings.Repeat("sink: ", 2) + "table orders does not fit": "sink: table orders does not fit",
		"topics: sink: x": "sink: topics: sink: x",
		"no server":       "sink: no server",
	} {
		var stderr bytes.Buffer
		root := &cobra.Command{Use: "sink", RunE: func(*cobra.Command, []string) error { return errors.New(in) }}
		if code := cli.Execute(t.Context(), root, nil, &stderr); code != cli.ExitError {
			t.Errorf("%s: exit %d", in, code)
		}
		if got := strings.TrimSpace(stderr.String()); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}
