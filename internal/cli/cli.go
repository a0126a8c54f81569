// Package cli is what the binaries share: the commands that run stages, signals and exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/pipeline"
)

// Exit codes of all binaries. A second signal kills the process at once: a shell then says 130 or 143.
const (
	ExitOK    = 0 // done, or drained after a signal
	ExitError = 1 // what a person must mend; the last line says what
	ExitUsage = 2 // the command line or the pipeline file is wrong; nothing was started
)

// UsageError is a wrong command line.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *UsageError) Unwrap() error { return e.Err }

// Main runs root with the arguments of the process and returns its exit code. The first SIGINT or SIGTERM cancels the
// command's context; the second kills.
func Main(root *cobra.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return Execute(ctx, root, os.Args[1:], os.Stderr)
}

// Execute is Main with everything given.
func Execute(ctx context.Context, root *cobra.Command, args []string, stderr io.Writer) int {
	root.SetArgs(args)
	root.SetErr(stderr)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &UsageError{err} })
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitOK
	}
	_, _ = fmt.Fprintf(stderr, "%s: %v\n", root.Name(), err)
	var usage *UsageError
	if errors.As(err, &usage) || cmd == root && root.HasSubCommands() {
		_, _ = fmt.Fprintf(stderr, "see `%s --help`\n", cmd.CommandPath())
		return ExitUsage
	}
	var problems pipeline.Problems
	if errors.As(err, &problems) {
		return ExitUsage
	}
	return ExitError
}

// Args makes a wrong number of arguments a [UsageError].
func Args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &UsageError{err}
		}
		return nil
	}
}
