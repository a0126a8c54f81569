package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/reset"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// resetFlags are the flags of `millrace reset`.
type resetFlags struct {
	since    string
	sweep    bool
	all      bool
	pipeline bool
	yes      bool
	letters  bool
	limit    float64
	output   string
}

// resetDone is what was done with a stream, as JSON.
type resetDone struct {
	Stream  string    `json:"stream"`
	Slices  int       `json:"slices,omitempty"`  // this and the next two are not asked for where a reset goes on
	Fetched int       `json:"fetched,omitempty"` // slices of which a pass was begun before
	Offsets int64     `json:"offsets,omitempty"` // of the raw topic
	SetBack bool      `json:"set_back"`          // false: the reset of before goes on, or it was not done
	Sweep   *sweptOut `json:"sweep,omitempty"`   // once the pass has ended
	Forgot  bool      `json:"forgotten"`         // the raw records from before the reset are deleted
}

// sweptOut is what a sweep found and deleted.
type sweptOut struct {
	Keys     int      `json:"keys"` // that the raw topic has
	Gone     int      `json:"gone"` // of these, that the pass did not show
	Held     int      `json:"held"` // that are kept, for records of theirs were refused
	Examples []string `json:"examples"`
	Deleted  int      `json:"deleted"`      // keys
	Rows     int64    `json:"rows_deleted"` // of an earlier raw topic
}

// out is where what is done is told to people.
func (f *resetFlags) out(cmd *cobra.Command) io.Writer {
	if f.output == "json" {
		return cmd.ErrOrStderr()
	}
	return cmd.OutOrStdout()
}

const aboutReset = `Fetch a stream again from the beginning, or with --since from a time or value of its incremental field. Its positions in the API
are set back, and what was remembered of earlier records is dropped, so that every record is written again. It works
beside running processes, which begin within seconds, and without: then the next start does.

With --sweep, keys that the API shows no more are deleted: the command waits until a complete pass that began after the
reset has ended, then writes a tombstone to the raw topic for each key whose newest record is older than the reset. The
rows go when processor and sink have come to them. A pass that is not known to be complete sweeps nothing, nor does it
where more keys would go than --sweep-limit allows. Keys of records that ingest refused since the reset are kept. If the
command dies, run it again: it continues.

With --all the stream starts over: as with --sweep, and then the raw records from before the reset are deleted, once the
processors have passed them. A replay then begins at the reset.

--pipeline does the same for every stream of the file. With --output json what was done is on stdout at the end, and progress on stderr.

Exit codes: 0 it is done; 1 it was not confirmed, or nothing was deleted, or something needs an operator, as the last line says;
2 wrong command line or pipeline file.`

// newResetCommand is `millrace reset`.
func newResetCommand() *cobra.Command {
	f := &resetFlags{}
	cmd := &cobra.Command{
		Use:   "reset FILE [STREAM]",
		Short: "Fetch a stream again from the beginning, and delete what the API shows no more",
		Long:  aboutReset,
		Example: `  millrace reset shop.yaml orders
  millrace reset shop.yaml orders --since 2026-11-01T00:00:00Z
  millrace reset shop.yaml orders --since 48h --yes
  millrace reset shop.yaml orders --sweep --sweep-limit 25
  millrace reset shop.yaml orders --all
  millrace reset shop.yaml --pipeline --sweep
  millrace reset shop.yaml orders --sweep --yes --output json`,
		Args: cli.Args(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(checkOutput(f.output), f.check(args)); err != nil {
				return err
			}
			o, err := operate(cmd.Context(), args[0], streamsOf(args))
			if err != nil {
				return err
			}
			defer o.close()
			return f.run(cmd, o)
		},
	}
	f.flags(cmd.Flags())
	return cmd
}

func (f *resetFlags) flags(flags *pflag.FlagSet) {
	flags.StringVar(&f.since, "since", "", "fetch from this `time` or value of the incremental field, or from so long ago (48h)")
	flags.BoolVar(&f.sweep, "sweep", false, "after a complete pass, delete the keys that it did not show")
	flags.Float64Var(&f.limit, "sweep-limit", 10, "delete at most so many `percent` of the keys")
	flags.BoolVar(&f.letters, "ignore-letters", false, "sweep although ingest refused records whose key it cannot read")
	flags.BoolVar(&f.all, "all", false, "start over: --sweep, and then delete the raw records from before")
	flags.BoolVar(&f.pipeline, "pipeline", false, "all streams of the file")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	outputFlag(flags, &f.output)
}

// check says what is wrong with the command line.
func (f *resetFlags) check(args []string) error {
	if f.pipeline == (len(args) == 2) {
		return &cli.UsageError{Err: errors.New("want a stream, or --pipeline for all streams")}
	}
	f.sweep = f.sweep || f.all
	if f.since != "" && f.sweep {
		return &cli.UsageError{Err: errors.New("--since with --sweep or --all: a pass that does not ask for everything says nothing about what is gone")}
	}
	if f.limit < 0 || f.limit > 100 {
		return &cli.UsageError{Err: fmt.Errorf("--sweep-limit: %v; it must be from 0 to 100", f.limit)}
	}
	return nil
}

// resetting is a stream that is reset.
type resetting struct {
	cfg   reset.Config
	opts  reset.Options
	going *control.Sweep // of a reset before, which goes on; nil: there is none
	done  *resetDone
}

func (f *resetFlags) run(cmd *cobra.Command, o *operation) (err error) {
	all, err := f.plan(cmd, o)
	if err != nil {
		return err
	}
	if f.output == "json" {
		defer func() {
			done := []*resetDone{}
			for _, r := range all {
				done = append(done, r.done)
			}
			err = errors.Join(writeJSON(cmd.OutOrStdout(), done), err)
		}()
	}
	if slices.ContainsFunc(all, func(r resetting) bool { return r.going == nil }) {
		if err := confirm(cmd, f.yes, "Go on?"); err != nil {
			return err
		}
	}
	for i := range all {
		if all[i].going != nil {
			continue
		}
		if err := f.reset(cmd, o, &all[i]); err != nil {
			return fmt.Errorf("stream %s: %w; run the command again", all[i].cfg.Stream.Name, err)
		}
	}
	if !f.sweep {
		return nil
	}
	for _, r := range all {
		if err := f.swept(cmd, o, r); errors.Is(err, reset.ErrElsewhere) {
			return fmt.Errorf("stream %s: %w: `millrace reset %s %[1]s` gives the sweep up, and --sweep after it begins another", r.cfg.Stream.Name, err, o.file)
		} else if err != nil {
			return fmt.Errorf("stream %s: %w", r.cfg.Stream.Name, err)
		}
	}
	return nil
}

// plan says of each stream what will be done.
func (f *resetFlags) plan(cmd *cobra.Command, o *operation) (all []resetting, err error) {
	view, err := o.decided(cmd.Context())
	if err != nil {
		return nil, err
	}
	for _, s := range o.streams {
		r := resetting{cfg: reset.Config{Pipeline: o.Pipeline, Stream: s, Control: o.control, Client: o.client, File: o.file}, done: &resetDone{Stream: s.Name}}
		r.opts.Sweep, r.opts.Forget = f.sweep, f.all
		if r.opts.Since, err = f.from(s); err != nil {
			return nil, err
		}
		if f.sweep {
			r.going = view.Stream(s.Name).Sweep
		}
		if was := view.Stream(s.Name).Reset; was.Number > 0 && !was.Done {
			if err := control.Persist(cmd.Context(), func() error { return reset.AbortAbandoned(cmd.Context(), r.cfg) }); err != nil {
				return nil, err
			}
		}
		if err := f.tell(cmd, o, r); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// from is what --since says, on the scale of the stream's incremental field.
func (f *resetFlags) from(s *pipeline.Stream) (*int64, error) {
	if f.since == "" {
		return nil, nil //nolint:nilnil // from the beginning
	}
	if s.Ingest.Incremental == nil {
		return nil, &cli.UsageError{Err: fmt.Errorf("--since: the stream %s has no ingest.incremental: each pass asks for everything", s.Name)}
	}
	scale, err := cursor.NewScale(&s.Ingest)
	if err != nil {
		return nil, err
	}
	text := f.since
	if ago, err := time.ParseDuration(text); err == nil && s.Ingest.Incremental.Format != "integer" {
		at := time.Now().Add(-ago).UnixMicro()
		return &at, nil
	}
	quoted, err := jsontext.AppendQuote(nil, text)
	if err != nil {
		return nil, &cli.UsageError{Err: fmt.Errorf("--since: %w", err)}
	}
	n, err := scale.Value(quoted)
	if err != nil {
		return nil, &cli.UsageError{Err: fmt.Errorf("--since: %q %w", text, err)}
	}
	return &n, nil
}

// tell says what will be done.
func (f *resetFlags) tell(cmd *cobra.Command, o *operation, r resetting) error {
	name := r.cfg.Stream.Name
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(f.out(cmd), format+"\n", args...) }
	if r.going != nil {
		say("%s: the reset of %s by %s continues", name, r.going.At.UTC().Format(time.RFC3339), r.going.By)
		return nil
	}
	cursors, err := reset.Cursors(cmd.Context(), r.cfg)
	if err != nil {
		return err
	}
	records, err := rawRecords(cmd.Context(), o, name)
	if err != nil {
		return err
	}
	raw := topics.Raw(o.Name, name)
	r.done.Slices, r.done.Fetched, r.done.Offsets = max(len(r.cfg.Slices()), len(cursors)), fetched(cursors), records
	say("%s: %s, of which %d were fetched before; %s has %s", name, count(r.done.Slices, "slice"), r.done.Fetched, raw, count(int(records), "offset"))
	from := "the beginning"
	if r.opts.Since != nil {
		from = f.since
	}
	say("  the positions in %s are set back: everything is fetched from %s, and every record is written again", topics.IngestState(o.Name), from)
	if i := r.cfg.Stream.Ingest.Incremental; i != nil && i.Start != "" && r.opts.Since == nil {
		say("  the beginning is ingest.incremental.start, %s", i.Start)
	}
	if r.opts.Sweep {
		say("  after a complete pass, keys that it did not show are deleted from %s and from the table %s, if they are at most %v %% of the keys",
			raw, r.cfg.Stream.Sink.Table, f.limit)
	}
	if r.opts.Forget {
		say("  then the records of %s from before the reset are deleted", raw)
	}
	return nil
}

// fetched is of how many slices a pass was begun.
func fetched(cursors map[string]cursor.Cursor) (n int) {
	for _, c := range cursors {
		if c.Pass > 0 {
			n++
		}
	}
	return n
}

// rawRecords is how many offsets the raw topic of a stream has: its records, and the markers of transactions.
func rawRecords(ctx context.Context, o *operation, stream string) (n int64, err error) {
	topic := topics.Raw(o.Name, stream)
	adm := kadm.NewClient(o.client)
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	ends.Each(func(e kadm.ListedOffset) {
		if s, ok := starts.Lookup(topic, e.Partition); ok && e.Err == nil && s.Err == nil {
			n += e.Offset - s.Offset
		}
	})
	return n, nil
}

// reset sets the positions of a stream back.
func (f *resetFlags) reset(cmd *cobra.Command, o *operation, r *resetting) error {
	if err := reset.Run(cmd.Context(), r.cfg, r.opts); err != nil {
		return err
	}
	r.done.SetBack = true
	then := "running processes begin within seconds"
	if o.servers.Own() {
		then = fmt.Sprintf("the next `millrace run %s` begins", o.file)
	}
	if _, err := fmt.Fprintf(f.out(cmd), "%s: the positions are set back; %s\n", r.cfg.Stream.Name, then); err != nil {
		return err
	}
	if !r.opts.Sweep {
		return nil
	}
	view, err := o.decided(cmd.Context())
	if err != nil {
		return err
	}
	r.going = view.Stream(r.cfg.Stream.Name).Sweep
	return nil
}
