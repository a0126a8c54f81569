package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/millrace-io/millrace/internal/process"
)

// RunFlags are the flags of every command that runs stages.
type RunFlags struct {
	process.Options
	LogFormat string // text, json, or auto: text on a terminal
	LogLevel  string
}

// Add adds the flags to cmd.
func (f *RunFlags) Add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.Streams, "streams", nil, "run only these `names` (default all streams of the file)")
	flags.StringVar(&f.Listen, "listen", ":9464", "`address` of /healthz, /readyz and /metrics; empty for none")
	flags.BoolVar(&f.Profile, "pprof", false, "serve /debug/pprof/ too")
	flags.StringVar(&f.Instance, "instance", "", "`name` of this process among all that run the pipeline, the same after a restart (default $MILLRACE_INSTANCE, else the host's name and a free number)")
	flags.DurationVar(&f.Drain, "drain-timeout", 20*time.Second, "how long work in hand may take after SIGTERM")
	flags.StringVar(&f.LogFormat, "log-format", "auto", "text, json or auto (text on a terminal)")
	flags.StringVar(&f.LogLevel, "log-level", "info", "debug, info, warn or error")
}

// Logger returns the log that the flags ask for.
func (f *RunFlags) Logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.LogLevel)); err != nil {
		return nil, &UsageError{fmt.Errorf("--log-level: %q; it must be debug, info, warn or error", f.LogLevel)}
	}
	o := &slog.HandlerOptions{Level: level}
	file, isFile := w.(*os.File)
	switch f.LogFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	case "auto":
		if isFile && term.IsTerminal(int(file.Fd())) {
			return slog.New(slog.NewTextHandler(w, o)), nil
		}
		return slog.New(slog.NewJSONHandler(w, o)), nil
	default:
		return nil, &UsageError{fmt.Errorf("--log-format: %q; it must be text, json or auto", f.LogFormat)}
	}
}

const aboutRun = `.

It runs until SIGTERM or SIGINT, then finishes what is in hand, within --drain-timeout, and leaves its consumer
groups; a second signal kills, which loses nothing that was committed. Servers that are not up yet, or go away, are
waited for; /readyz says which. Any number of processes may run the same file: they share the work.

Exit codes: 0 drained; 1 something that needs an operator, as the last line says; 2 wrong command line or pipeline
file, and nothing was started. A process that a second signal killed shows in a shell as 130 (SIGINT) or 143 (SIGTERM).`

// RunCommand is a command that runs stages of one pipeline file until it is told to stop: `millrace run`, and each
// stage alone. program is how it is called, for the examples.
func RunCommand(program, use, short string, stages ...string) *cobra.Command {
	f := &RunFlags{}
	cmd := &cobra.Command{
		Use:   use + " FILE",
		Short: short,
		Long:  short + aboutRun,
		Example: strings.ReplaceAll(`  PROGRAM shop.yaml
  PROGRAM shop.yaml --streams orders,customers --listen localhost:9465
  PROGRAM shop.yaml --instance $HOSTNAME --log-format json
  curl localhost:9464/readyz`, "PROGRAM", program),
		Args: File,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0], stages) },
	}
	f.Add(cmd)
	if slices.Contains(stages, process.Sink) {
		cmd.Flags().StringSliceVar(&f.Adopt, "adopt", nil, aboutAdopt)
	}
	if len(stages) == len(process.All) {
		cmd.Flags().BoolVar(&f.Once, "once", false, "end when one pass of every stream is in the tables")
		cmd.Long += aboutOnce
		cmd.Example += strings.ReplaceAll("\n  PROGRAM shop.yaml --once", "PROGRAM", program)
	}
	return cmd
}

// run runs stages of a pipeline file.
func (f *RunFlags) run(cmd *cobra.Command, path string, stages []string) error {
	log, err := f.Logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	p, err := LoadPipeline(path)
	if err != nil {
		return err
	}
	f.Stages, f.Log, f.File = stages, log, path
	x, err := process.New(cmd.Context(), p, f.Options)
	if err != nil {
		return err
	}
	return x.Run(cmd.Context())
}

const aboutAdopt = "take the tables of these `streams` from the pipeline that writes them, which then stops writing them"

const aboutOnce = `

With --once it fetches one pass of every stream, and ends with exit code 0 when what that brought is in the tables (or
waits as a dead letter): all passes have ended and are committed, the processor has read the raw topics to their end,
the sink the processed topics. While an API, a broker or the database is in the way, it waits, as always; stopped before
the end, it exits with 1. It is for a process that runs the pipeline alone.`

// StageMain is the whole of a binary that runs one stage; it returns the exit code.
func StageMain(name, short string) int {
	cmd := RunCommand(name, name, short, name)
	cmd.Version = Version()
	Complete(cmd)
	return Main(cmd)
}
