package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/kafka"
)

// TestTheLastLineDoesNotStutter: a binary, its stage and a package may have one name.
func TestTheLastLineDoesNotStutter(t *testing.T) {
	for _, c := range []struct{ program, in, want string }{
		{"sink", strings.Repeat("sink: ", 2) + "table orders does not fit", "sink: table orders does not fit"},
		{"sink", "topics: sink: x", "sink: topics: sink: x"},
		{"sink", "no server", "sink: no server"},
		{"millrace", strings.Repeat("sink: ", 3) + "table orders", "millrace: sink: table orders"},
		{"millrace", "processor: " + strings.Repeat("topics: ", 2) + strings.Repeat("no such: ", 2) + "x", "millrace: processor: topics: " + strings.Repeat("no such: ", 2) + "x"},
	} {
		var stderr bytes.Buffer
		root := &cobra.Command{Use: c.program, RunE: func(*cobra.Command, []string) error { return errors.New(c.in) }}
		if code := cli.Execute(t.Context(), root, nil, &stderr); code != cli.ExitError {
			t.Errorf("%s: exit %d", c.in, code)
		}
		if got := strings.TrimSpace(stderr.String()); got != c.want {
			t.Errorf("%s: %q, want %q", c.in, got, c.want)
		}
	}
}

// TestAnErrorOfTheBrokersHasAFix: what cannot pass by waiting is said with what to correct, once.
func TestAnErrorOfTheBrokersHasAFix(t *testing.T) {
	for want, err := range map[string]error{
		"millrace: pause: TOPIC_AUTHORIZATION_FAILED: Not authorized to access topics: [Topic authorization failed.]; `millrace doctor shop.yaml` prints what to allow the user\n": fmt.Errorf(
			"pause: %w", kerr.TopicAuthorizationFailed),
		"millrace: broker b:9092: it ends; set kafka.tls\n": &kafka.SetupError{Broker: "b:9092", What: "it ends", Fix: "set kafka.tls"},
		"millrace: EOF\n": io.EOF,
	} {
		cmd := &cobra.Command{Use: "millrace", RunE: func(*cobra.Command, []string) error { return err }}
		var said bytes.Buffer
		if code := cli.Execute(t.Context(), cmd, []string{"shop.yaml"}, &said); code != cli.ExitError || said.String() != want {
			t.Errorf("exit code %d, said %q, want %q", code, said.String(), want)
		}
	}
}
