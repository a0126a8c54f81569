package tool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/embedded"
	"github.com/millrace-io/millrace/internal/kafka"
	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/internal/process"
	"github.com/millrace-io/millrace/internal/replay"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/sink"
)

// replayFlags are those of `millrace replay`.
type replayFlags struct {
	from, to  string
	keys      []string
	rate      int
	letters   int
	memory    int
	instance  string
	yes       bool
	dry       bool
	shadow    bool
	output    string
	logFormat string
	logLevel  string
}

const aboutReplay = `Process again what a stream has in its raw topic, by the logic of the file, into the live table, while the pipeline runs. No API
is asked. The table stays readable, no row goes back to an older revision, and no row comes back that is deleted.

Of each key only the newest record is processed again; where that is refused now, the newest that is not. Keys whose newest
record is outside --from and --to stay as they are. If the file's logic is not the one that is live, it becomes it, and
processors that run go over to it, also those that were started with another file.

It needs no stage to be stopped, and for the rows to arrive a sink that runs. Any number of processes may run the same
command: they share the work. A process that is killed loses nothing: run it again, and the replay continues where it was. Beside
a running ` + "`millrace run`" + ` of an embedded pipeline it uses that one's servers; without one it starts them, and a sink.

It ends at any --rate: what arrives after its beginning is no part of it, and is processed as it comes. Run again with another --rate, and
without a range or keys, it sets the rate of the replay that is under way, in all processes; 0 is no limit.

It stops if of more than 100 keys, and of one key in 100, the newest record is refused by a step: the keys keep the rows
they have, and the logic is probably wrong. --letters sets another number.

Exit codes: 0 all is processed again and in the table; 1 something that needs an operator, as the last line says, or it was
stopped before its end; 2 wrong command line or pipeline file, and nothing was begun.`

// newReplayCommand is `millrace replay`.
func newReplayCommand() *cobra.Command {
	f := &replayFlags{}
	cmd := &cobra.Command{
		Use:   "replay FILE STREAM",
		Short: "Process again what a stream has in its raw topic, into the live table",
		Long:  aboutReplay + aboutShadow,
		Example: `  millrace replay shop.yaml orders                        all records, by the file's logic
  millrace replay shop.yaml orders --dry-run              what that would change
  millrace replay shop.yaml orders --from 24h             only what changed within the last day
  millrace replay shop.yaml orders --from 2026-03-01T00:00:00Z --to 2026-03-02T00:00:00Z
  millrace replay shop.yaml orders --from 0:1000,1:2500   by raw offset, for each partition
  millrace replay shop.yaml orders --key 4711 --key 4712
  millrace replay shop.yaml orders --rate 2000 --yes      2,000 records a second at most; do not ask
  millrace replay shop.yaml orders --shadow               into a new table beside the live one
  millrace replay status shop.yaml orders
  millrace replay abort shop.yaml orders`,
		Args: cli.Args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.shadow {
				return runShadow(cmd, args[0], args[1], f)
			}
			if f.dry {
				return dryReplay(cmd, args[0], args[1], f)
			}
			return runReplay(cmd, args[0], args[1], f)
		},
	}
	f.flags(cmd.Flags())
	cmd.AddCommand(newReplayStatusCommand(), newReplayPauseCommand(true), newReplayPauseCommand(false), newReplayAbortCommand(),
		newReplayDiffCommand(), newReplaySwapCommand(), newReplayRollbackCommand(), newReplayDropCommand())
	return cmd
}

func (f *replayFlags) flags(flags *pflag.FlagSet) {
	flags.StringVar(&f.from, "from", "beginning", "process only keys whose newest record is from here on: beginning, a `time` (RFC 3339), a duration back from now, or offsets as partition:offset,...")
	flags.StringVar(&f.to, "to", "now", "and before here: now, a `time`, a duration back from now, or offsets")
	flags.StringArrayVar(&f.keys, "key", nil, "only this raw `key`; may be given several times")
	flags.IntVar(&f.rate, "rate", 0, "process at most so many `records` a second, all processes together; of one that is under way it changes the rate (default no limit)")
	flags.IntVar(&f.letters, "letters", -1, "stop if more than `n` keys' newest records are refused (default 100, and one key in 100)")
	flags.Lookup("letters").DefValue = "0" // the text says what -1 means
	flags.IntVar(&f.memory, "memory", processor.DefaultRedoMemory>>20, "`MiB` for the index of keys; with less it reads the topic more often")
	flags.StringVar(&f.instance, "instance", "", "`name` of this process among all that replay (default $MILLRACE_INSTANCE, else the host's name and a free number)")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	flags.BoolVar(&f.dry, "dry-run", false, "change nothing; say which rows would be added, removed and changed, and what would be refused")
	flags.BoolVar(&f.shadow, "shadow", false, "build a new table beside the live one, which is not touched")
	flags.StringVar(&f.output, "output", "table", "table or json")
	flags.StringVar(&f.logFormat, "log-format", "auto", "text, json or auto (text on a terminal)")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
}

// ask reads the bounds.
func (f *replayFlags) ask() (ask replay.Ask, err error) {
	if ask.From, err = parseBound("--from", f.from, "beginning"); err != nil {
		return ask, err
	}
	if ask.To, err = parseBound("--to", f.to, "now"); err != nil {
		return ask, err
	}
	if f.rate < 0 {
		return ask, &cli.UsageError{Err: fmt.Errorf("--rate: %d; it must be 0 or more", f.rate)}
	}
	if f.memory < 1 {
		return ask, &cli.UsageError{Err: fmt.Errorf("--memory: %d; it must be 1 or more", f.memory)}
	}
	ask.Keys, ask.Rate = f.keys, f.rate
	return ask, nil
}

// plain reports whether nothing was asked for but to take part.
func (f *replayFlags) plain(cmd *cobra.Command) bool {
	return !cmd.Flags().Changed("from") && !cmd.Flags().Changed("to") && len(f.keys) == 0
}

var offsetsForm = regexp.MustCompile(`^\d+:\d+(,\d+:\d+)*$`)

// parseBound reads an end of a range; open is the word for none.
func parseBound(flag, text, open string) (b replay.Bound, err error) {
	wrong := &cli.UsageError{Err: fmt.Errorf("%s: %q; it must be %s, a time such as 2026-03-01T00:00:00Z, a duration back from now such as 24h, "+
		"or offsets such as 0:1000,1:2500", flag, text, open)}
	if text == open {
		return b, nil
	}
	if offsetsForm.MatchString(text) {
		b.Offsets = map[int32]int64{}
		for pair := range strings.SplitSeq(text, ",") {
			partition, offset, _ := strings.Cut(pair, ":")
			p, err1 := strconv.ParseInt(partition, 10, 32)
			o, err2 := strconv.ParseInt(offset, 10, 64)
			if _, twice := b.Offsets[int32(p)]; twice || errors.Join(err1, err2) != nil {
				return b, wrong
			}
			b.Offsets[int32(p)] = o
		}
		return b, nil
	}
	if back, err := time.ParseDuration(text); err == nil && back > 0 {
		b.Time = time.Now().Add(-back)
		return b, nil
	}
	if b.Time, err = time.Parse(time.RFC3339, text); err != nil {
		return b, wrong
	}
	return b, nil
}

// replaying is what the commands about redos need. It must be closed.
type replaying struct {
	*replay.Replay

	file     *pipeline.Pipeline // of the pipeline file
	pipeline *pipeline.Pipeline // of the live line, which is file if no other line is
	foreign  error              // why the file does not decide about the logic of the live line; nil: it does
	stream   string
	env      stage.Env
	servers  *embedded.Servers
	release  func() error
}

// openReplay reaches the servers of a pipeline file, also those that a running process has embedded.
func openReplay(ctx context.Context, path, stream, instance string, log *slog.Logger) (_ *replaying, err error) {
	p, err := cli.LoadPipeline(path)
	if err != nil {
		return nil, err
	}
	if _, err := p.Choose([]string{stream}); err != nil {
		return nil, &cli.UsageError{Err: err}
	}
	x := &replaying{file: p, pipeline: p, stream: stream}
	defer func() {
		if err != nil {
			x.close()
		}
	}()
	reach := embedded.Join
	if p.Kafka.Embedded {
		reach = embedded.Attach // which refuses where nothing ever ran
	}
	if x.servers, err = reach(ctx, p, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	var name string
	if log == nil {
		log, name = slog.New(slog.DiscardHandler), who()
	} else if name, x.release, err = process.Instance(p.Name, "replay", instance); err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	opts, err := kafka.Opts(p.Kafka, "millrace-"+p.Name+"-replay-"+name, log, registry)
	if err != nil {
		return nil, err
	}
	x.env = stage.Env{
		Instance: name, Streams: []string{stream}, Kafka: opts, Log: log, Metrics: registry, Health: &stage.Health{}, File: path,
	}
	return x, x.open(ctx)
}

// open finds the live line, and opens its replay.
func (x *replaying) open(ctx context.Context) error {
	s, err := decidedAbout(ctx, x.env.Kafka, x.file, x.stream)
	if err != nil {
		return err
	}
	if x.pipeline, err = liveOf(x.file, x.stream, s); err != nil {
		return err
	}
	x.foreign = lines.Decides(x.env.File, x.file, x.stream, s)
	x.Replay, err = replay.Open(x.pipeline, x.stream, x.env)
	return err
}

func (x *replaying) close() {
	if x.Replay != nil {
		x.Close()
	}
	if x.servers != nil {
		_ = x.servers.Close()
	}
	if x.release != nil {
		_ = x.release()
	}
}

// reach opens the replay for a command that takes part in it: what it does is logged as the flags say.
func (f *replayFlags) reach(cmd *cobra.Command, path, stream string) (*replaying, error) {
	log, err := (&cli.RunFlags{LogFormat: f.logFormat, LogLevel: f.logLevel}).Logger(cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	return openReplay(cmd.Context(), path, stream, f.instance, log)
}

// replayed is a redo that has ended, or was decided about, as JSON.
type replayed struct {
	Stream     string `json:"stream"`
	Generation uint16 `json:"generation"`
	State      string `json:"state"` // ended, aborted, paused or running
}

func runReplay(cmd *cobra.Command, path, stream string, f *replayFlags) error {
	if err := checkOutput(f.output); err != nil {
		return err
	}
	ask, err := f.ask()
	if err != nil {
		return err
	}
	x, err := f.reach(cmd, path, stream)
	if err != nil {
		return err
	}
	defer x.close()
	if x.foreign != nil {
		return x.foreign
	}
	generation, err := x.begin(cmd.Context(), cmd, f, ask)
	if err != nil {
		return err
	}
	x.tellPause(cmd.Context())
	err = x.through(cmd.Context(), replay.Work{
		Generation: generation, Processor: processor.DefaultConfig(), Letters: f.letters, Memory: int64(f.memory) << 20,
	})
	if cmd.Context().Err() != nil {
		return fmt.Errorf("stopped before its end; to continue: millrace replay %s %s", path, stream)
	}
	if err == nil {
		err = writeDone(cmd.OutOrStdout(), f.output, replayed{stream, generation, "ended"}, "%s: all is processed again, and in the table\n", stream)
	}
	return err
}

// tellPause says that the sink is paused, which keeps what is processed again from the table.
func (x *replaying) tellPause(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, brokersTimeout)
	defer cancel()
	if s, err := x.Decided(ctx); err == nil && s.IsPaused(process.Sink) {
		x.env.Log.Warn("the sink is paused: what is processed again is in the table when it continues", "stream", x.stream, "next", x.env.Command("resume", x.stream))
	}
}

// through takes part until all is processed again: that another process has aborted the redo is an error.
func (x *replaying) through(ctx context.Context, w replay.Work) error {
	if err := x.takePart(ctx, w); err != nil {
		return err
	}
	return x.Ended(ctx, w.Generation)
}

// takePart runs until the redo has ended. Servers that this process has embedded are reached by no other sink, so it
// runs one.
func (x *replaying) takePart(ctx context.Context, w replay.Work) error {
	if !x.servers.Own() {
		return x.Run(ctx, w)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	env := x.env
	env.Log = env.Log.With("stage", process.Sink)
	s, err := sink.New(x.pipeline, sink.DefaultConfig(), env)
	if err != nil {
		return err
	}
	sunk := make(chan error, 1) // one send, so that it never waits
	go func() {
		defer cancel() // a sink that cannot write ends the replay too
		sunk <- s.Run(ctx)
	}()
	err = x.Run(ctx, w)
	cancel()
	if failed := <-sunk; failed != nil {
		return failed
	}
	return err
}

// begin asks, and begins a redo or takes part in the one that is under way.
func (x *replaying) begin(ctx context.Context, cmd *cobra.Command, f *replayFlags, ask replay.Ask) (generation uint16, err error) {
	answering, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	plan, err := x.Preview(answering, ask)
	if err == nil {
		if err := x.Fits(answering); err != nil {
			return 0, x.orBeside(err, plan)
		}
		if err := confirm(cmd, f.yes, x.question(f, plan)); err != nil {
			return 0, err
		}
		answering, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		plan, err = x.Begin(answering, ask)
	}
	underWay, ok := errors.AsType[*replay.UnderWayError](err)
	switch {
	case err == nil:
		x.env.Log.Info("a replay begins", "stream", x.stream, "generation", plan.Generation, "new_logic", plan.Other)
		return plan.Generation, nil
	case !ok || !f.plain(cmd):
		return 0, err
	}
	x.env.Log.Info("taking part in the replay that is under way", "stream", x.stream, "generation", underWay.Redo.Generation,
		"begun_by", underWay.Redo.By, "state", underWay.Redo.State)
	if cmd.Flags().Changed("rate") {
		if _, err := x.Limit(ctx, f.rate); err != nil {
			return 0, err
		}
	}
	return underWay.Redo.First, nil
}

// orBeside names the other way, where the table lacks columns of a logic that is not live yet.
func (x *replaying) orBeside(err error, plan replay.Plan) error {
	if _, lacks := errors.AsType[*sink.TableError](err); !lacks || !plan.Other {
		return err
	}
	return fmt.Errorf("%w\nor leave the table as it is, and have another one built beside it: %s", err, x.env.Command("replay", x.stream, "--shadow"))
}

// question says what will be done.
func (x *replaying) question(f *replayFlags, plan replay.Plan) string {
	logic := "by the logic that is live"
	if plan.Other {
		logic = "by the file's logic, which becomes the live one"
	}
	keys := "all keys"
	if len(f.keys) > 0 {
		keys = count(len(f.keys), "key")
	}
	return fmt.Sprintf("%s: process again %s, %s, whose newest record is from %s to %s, into the table %s?",
		x.stream, keys, logic, f.from, f.to, x.pipeline.Stream(x.stream).Sink.Table)
}
