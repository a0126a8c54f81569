package tool

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/topics"
)

type tailFlags struct {
	from, key, filter, output string
	follow                    bool
}

func newTopicsTailCommand() *cobra.Command {
	f := &tailFlags{}
	cmd := &cobra.Command{
		Use:   "tail FILE STREAM [raw|processed|dlq]",
		Short: "Show the records of a topic of a stream",
		Long: `Show the records of a topic of a stream, decoded, with their headers: those of committed transactions, as the stages read them. It
begins at --from, or with the last 10 offsets of each partition, and ends where the topic ended when it began; with --follow
it continues until it is interrupted. Partitions are shown side by side; the records of a key are in their order.

--filter is a condition on the value, in the language of filters in the pipeline file: of a raw record, on what the API sent; of a
processed one, on the columns of one of its rows. Records of which it cannot be told are counted on stderr.

Headers that begin with mr- are millrace's own; mr-version is shown in its parts.

Exit codes: 0 they are shown, or there are none; 1 something that needs an operator, as the last line says; 2 wrong command line or
pipeline file.`,
		Example: `  millrace topics tail shop.yaml orders
  millrace topics tail shop.yaml orders processed --key 4711 --from beginning
  millrace topics tail shop.yaml orders raw --from 2026-03-01T00:00:00Z --output json
  millrace topics tail shop.yaml orders raw --filter 'status == "paid" and total > 100' --from 24h
  millrace topics tail shop.yaml orders dlq --follow`,
		Args: cli.Args(cobra.RangeArgs(2, 3)),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 2 {
				return []string{"raw", "processed", "dlq"}, cobra.ShellCompDirectiveNoFileComp
			}
			return cli.CompleteStream(cmd, args, typed)
		},
		RunE: f.run,
	}
	f.flags(cmd.Flags())
	return cmd
}

func (f *tailFlags) flags(flags *pflag.FlagSet) {
	flags.StringVar(&f.from, "from", "", "begin here: beginning, a `position`: an offset, offsets as partition:offset,..., a time (RFC 3339) or a duration back from now (default the last 10 offsets)")
	flags.StringVar(&f.key, "key", "", "only records of this `key`")
	flags.StringVar(&f.filter, "filter", "", "only records whose value meets this `condition`, an expression as in process[].filter")
	flags.BoolVar(&f.follow, "follow", false, "continue with what comes, until it is interrupted")
	flags.StringVar(&f.output, "output", "table", "table (a line for each record) or json (NDJSON)")
}

// run is `millrace topics tail`.
func (f *tailFlags) run(cmd *cobra.Command, args []string) error {
	if err := checkOutput(f.output); err != nil {
		return err
	}
	names := map[string]func(string, string) string{"raw": topics.Raw, "processed": topics.Processed, "dlq": topics.DeadLetters}
	kind := "raw"
	if len(args) > 2 {
		kind = args[2]
	}
	if names[kind] == nil {
		return &cli.UsageError{Err: fmt.Errorf("%q: want raw, processed or dlq", kind)}
	}
	filter, err := newRecordFilter(f.filter)
	if err != nil {
		return err
	}
	defer filter.tell(cmd.ErrOrStderr())
	o, err := operate(cmd.Context(), args[0], args[1:2])
	if err != nil {
		return err
	}
	defer o.close()
	line, err := liveLine(cmd.Context(), o.opts, o.Pipeline, args[1])
	if err != nil {
		return err
	}
	topic := names[kind](line.Name, args[1])
	if kind == "raw" {
		topic = topics.RawOf(line, args[1])
	}
	return f.each(cmd.Context(), o, topic, func(r *kgo.Record) error {
		if !filter.takes(r.Value) {
			return nil
		}
		return f.write(cmd.OutOrStdout(), r)
	})
}

// lastShown is how many offsets of a partition are shown if nothing else is asked for.
const lastShown = 10

// each reads the records of a topic that the flags ask for.
func (f *tailFlags) each(ctx context.Context, o *operation, topic string, do func(*kgo.Record) error) error {
	at, left, err := f.bounds(ctx, kadm.NewClient(o.client), topic)
	if err != nil {
		return err
	}
	reader, err := kgo.NewClient(append(slices.Clone(o.opts), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))...)
	if err != nil {
		return err
	}
	defer reader.Close()
	for len(left) > 0 || f.follow {
		fetches := reader.PollFetches(ctx)
		if ctx.Err() != nil && f.follow {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
		for r := range fetches.RecordsAll() {
			end, ok := left[r.Partition]
			if ok && r.Offset >= end-1 {
				delete(left, r.Partition)
			}
			if r.Attrs.IsControl() || !f.follow && (!ok || r.Offset >= end) || f.key != "" && string(r.Key) != f.key {
				continue
			}
			if err := do(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// bounds are where to begin in each partition, and the ends of those that have something.
func (f *tailFlags) bounds(ctx context.Context, adm *kadm.Client, topic string) (map[int32]kgo.Offset, map[int32]int64, error) {
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, nil, err
	}
	ends, err := adm.ListCommittedOffsets(ctx, topic) // an open transaction is not waited for
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, nil, err
	}
	from, err := f.begin(ctx, adm, topic, ends)
	if err != nil {
		return nil, nil, err
	}
	at, left := map[int32]kgo.Offset{}, map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(topic, end.Partition)
		begin := min(max(from[end.Partition], start.Offset), end.Offset)
		at[end.Partition] = kgo.NewOffset().At(begin)
		if begin < end.Offset {
			left[end.Partition] = end.Offset
		}
	})
	return at, left, nil
}

// begin says where it begins in each partition.
func (f *tailFlags) begin(ctx context.Context, adm *kadm.Client, topic string, ends kadm.ListedOffsets) (map[int32]int64, error) {
	from := map[int32]int64{}
	offset, err := strconv.ParseInt(f.from, 10, 64)
	isOffset := err == nil && offset >= 0
	if f.from == "" || isOffset {
		ends.Each(func(end kadm.ListedOffset) {
			from[end.Partition] = end.Offset - lastShown
			if isOffset {
				from[end.Partition] = offset
			}
		})
		return from, nil
	}
	bound, err := parseBound("--from", f.from, "beginning")
	if err != nil || bound.Time.IsZero() {
		return bound.Offsets, err // none is the beginning
	}
	listed, err := adm.ListOffsetsAfterMilli(ctx, bound.Time.UnixMilli(), topic)
	if err == nil {
		err = listed.Error()
	}
	listed.Each(func(l kadm.ListedOffset) { from[l.Partition] = l.Offset })
	return from, err
}

// shownRecord is a record of a topic as JSON.
type shownRecord struct {
	Time      time.Time      `json:"time"`
	Partition int32          `json:"partition"`
	Offset    int64          `json:"offset"`
	Key       string         `json:"key"`
	Value     any            `json:"value"` // null is a tombstone, or a row that goes
	Headers   map[string]any `json:"headers"`
}

// shownVersion is a version in its parts.
type shownVersion struct {
	Source     int64  `json:"source,omitempty"`
	Epoch      uint16 `json:"epoch"`
	Offset     int64  `json:"offset"` // raw
	Generation uint16 `json:"generation"`
}

func show(r *kgo.Record) shownRecord {
	x := shownRecord{r.Timestamp.UTC(), r.Partition, r.Offset, string(r.Key), valueOf(r.Value), map[string]any{}}
	for _, h := range r.Headers {
		x.Headers[h.Key] = string(h.Value)
		if v, err := topics.ParseVersion(h.Value); h.Key == topics.HeaderVersion && err == nil {
			x.Headers[h.Key] = shownVersion{v.Source(), v.Epoch(), v.Offset(), v.Generation()}
		}
	}
	return x
}

// valueOf is a value as it is put into JSON: as text, if it is none.
func valueOf(value []byte) any {
	switch {
	case value == nil:
		return nil
	case json.Valid(value):
		return json.RawMessage(value)
	}
	return string(value)
}

func (f *tailFlags) write(out io.Writer, r *kgo.Record) error {
	x := show(r)
	if f.output == "json" {
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		return e.Encode(x)
	}
	headers, err := json.Marshal(x.Headers)
	if err != nil {
		return err
	}
	value := "null"
	if r.Value != nil {
		value = string(r.Value)
	}
	_, err = fmt.Fprintf(out, "%s  %d:%d  %s  %s  %s\n", x.Time.Format(time.RFC3339), x.Partition, x.Offset, oneLine(x.Key, 100), value, headers)
	return err
}
