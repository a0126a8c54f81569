package tool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/embedded"
	"github.com/millrace-io/millrace/internal/kafka"
	"github.com/millrace-io/millrace/internal/letters"
	"github.com/millrace-io/millrace/internal/process"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// letterFilter chooses letters of a stream.
type letterFilter struct {
	keys   []string
	step   string
	reason string // a text in it
}

func (f *letterFilter) flags(cmd *cobra.Command, reason string) {
	cmd.Flags().StringArrayVar(&f.keys, "key", nil, "only letters of this raw `key`; may be given several times")
	cmd.Flags().StringVar(&f.step, "step", "", "only what was refused at this `step`, as `millrace dlq list` names it")
	cmd.Flags().StringVar(&f.reason, reason, "", "only letters with this `text` in their reason")
}

func (f *letterFilter) matches(l *letters.Letter) bool {
	key := len(f.keys) == 0
	for _, k := range f.keys {
		key = key || string(l.Record.Key) == k
	}
	return key && (f.step == "" || l.Step == f.step) && strings.Contains(l.Reason, f.reason)
}

// open are the letters that are open and match.
func (f *letterFilter) open(all []*letters.Letter) (out []*letters.Letter) {
	for _, l := range all {
		if l.Closed == nil && f.matches(l) {
			out = append(out, l)
		}
	}
	return out
}

// readTimeout bounds what the brokers may take to answer one topic.
const readTimeout = 5 * time.Minute

// lettersOf are the letters of a stream, which are those of its live line; their values are kept if keep is set.
func lettersOf(ctx context.Context, opts []kgo.Opt, p *pipeline.Pipeline, stream string, keep bool) ([]*letters.Letter, error) {
	if p.Line == nil {
		live, err := liveLine(ctx, opts, p, stream)
		if err != nil {
			return nil, err
		}
		p = live
	}
	return lettersOfLive(ctx, opts, p, stream, keep)
}

// lettersOfLive is lettersOf of the live line. Those of ingest, which all lines have in common, are in the topic of the
// first line.
func lettersOfLive(ctx context.Context, opts []kgo.Opt, line *pipeline.Pipeline, stream string, keep bool) ([]*letters.Letter, error) {
	all, err := lettersIn(ctx, opts, line.Name, stream, keep)
	if err != nil || line.Line == nil {
		return all, err
	}
	first, err := lettersIn(ctx, opts, line.Line.Of, stream, keep)
	return append(all, slices.DeleteFunc(first, func(l *letters.Letter) bool { return !ofIngest(l) })...), err
}

func ofIngest(l *letters.Letter) bool { return l.Stage == process.Ingest }

// lettersIn are the letters of a stream in the dead-letter topic of a pipeline, or of a line.
func lettersIn(ctx context.Context, opts []kgo.Opt, name, stream string, keep bool) ([]*letters.Letter, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	all, err := letters.Read(ctx, opts, name, stream, keep)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil, fmt.Errorf("topic %s is not there: the pipeline has not run yet, or under another name", topics.DeadLetters(name, stream))
	}
	return all, err
}

// readLetters calls f for each letter of the streams of a pipeline file; of all streams if none is named. A record that
// was refused several times is given once.
func readLetters(ctx context.Context, path string, streams []string, keep bool, f func(stream string, l *letters.Letter) error) error {
	p, err := cli.LoadPipeline(path)
	if err != nil {
		return err
	}
	if len(streams) == 0 {
		streams = nil // all
	}
	chosen, err := p.Choose(streams)
	if err != nil {
		return &cli.UsageError{Err: err}
	}
	log := slog.New(slog.DiscardHandler)
	servers, err := embedded.Attach(ctx, p, log)
	if err != nil {
		return err
	}
	defer func() { _ = servers.Close() }()
	opts, err := kafka.Opts(p.Kafka, "millrace-dlq", log, nil)
	if err != nil {
		return err
	}
	for _, s := range chosen {
		all, err := runningLines(ctx, opts, p, s.Name)
		if err != nil {
			return err
		}
		if err := readLines(ctx, opts, s.Name, all, keep, f); err != nil {
			return err
		}
	}
	return nil
}

// lettersBeside are the letters of a line that is not live, without those of ingest.
func lettersBeside(ctx context.Context, opts []kgo.Opt, line *pipeline.Pipeline, stream string, keep bool) ([]*letters.Letter, error) {
	all, err := lettersIn(ctx, opts, line.Name, stream, keep)
	return slices.DeleteFunc(all, ofIngest), err
}

// readLines is readLetters for the lines of a stream, the live one first.
func readLines(
	ctx context.Context, opts []kgo.Opt, stream string, lines []*pipeline.Pipeline, keep bool, f func(stream string, l *letters.Letter) error,
) error {
	for i, line := range lines {
		name := stream
		read := lettersOfLive
		if i > 0 {
			name = fmt.Sprintf("%s (line %d, not live)", stream, lineNumber(line))
			read = lettersBeside
		}
		of, err := read(ctx, opts, line, stream, keep)
		if err != nil {
			return err
		}
		for _, l := range of {
			if err := f(name, l); err != nil {
				return err
			}
		}
	}
	return nil
}
