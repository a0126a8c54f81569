// Package cli is what the binaries share: the commands that run stages, signals and exit codes.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/kafka"
	"github.com/millrace-io/millrace/internal/process"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/pipeline/file"
)

// Exit codes of all binaries. A second signal kills the process at once: a shell then says 130 (SIGINT) or 143
// (SIGTERM).
const (
	ExitOK    = 0 // done, or drained after a signal
	ExitError = 1 // what needs an operator; the last line says what
	ExitUsage = 2 // the command line or the pipeline file is wrong; nothing was started
)

// UsageError is a wrong command line.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *UsageError) Unwrap() error { return e.Err }

// FileError is a pipeline file that cannot be used: unreadable, or wrong, and then Err holds every problem.
type FileError struct {
	Path string
	Err  error
}

func (e *FileError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *FileError) Unwrap() error { return e.Err }

// LoadPipeline reads a pipeline file. Its error is a *[FileError].
func LoadPipeline(path string) (*pipeline.Pipeline, error) {
	p, err := file.Load(path)
	if err != nil {
		return nil, &FileError{path, err}
	}
	return p, nil
}

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
	return explain(stderr, root, cmd, err)
}

// explain says on stderr what went wrong and what to do next, and returns the exit code.
func explain(stderr io.Writer, root, cmd *cobra.Command, err error) int {
	var problems file.Problems
	if errors.As(err, &problems) { // each line begins with file:line:column, as editors know it
		_, _ = fmt.Fprintln(stderr, err)
	} else {
		text := once(root.Name() + ": " + err.Error())
		if fix := kafka.Fix(err, cmp.Or(cmd.Flags().Arg(0), "FILE")); fix != "" && !strings.Contains(text, fix) {
			text += "; " + fix
		}
		_, _ = fmt.Fprintln(stderr, text)
	}
	var usage *UsageError
	var file *FileError
	var refused *process.RefusedError
	switch {
	case errors.As(err, &usage), cmd == root && root.HasSubCommands(): // the latter: no such command
		_, _ = fmt.Fprintf(stderr, "see `%s --help`\n", cmd.CommandPath())
		return ExitUsage
	case errors.As(err, &file):
		if problems != nil && cmd.Name() != "validate" {
			_, _ = fmt.Fprintf(stderr, "nothing was started; `millrace validate %s` checks the file again\n", file.Path)
		}
		return ExitUsage
	case errors.As(err, &refused):
		return ExitUsage
	}
	return ExitError
}

// once drops a word that follows itself: a binary, its stage and the stage's packages may have one name, and say it
// all.
func once(text string) string {
	words := slices.CompactFunc(strings.Split(text, ": "), func(a, b string) bool { return a == b && !strings.Contains(a, " ") })
	return strings.Join(words, ": ")
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

// File wants one argument, the pipeline file.
func File(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return &UsageError{fmt.Errorf("want one pipeline file, got %d arguments", len(args))}
	}
	return nil
}
