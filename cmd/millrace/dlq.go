package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/embedded"
	"github.com/millrace-io/millrace/internal/kafka"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// newDLQCommand is `millrace dlq`.
func newDLQCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "Look at the records that were refused",
		Long: `Look at the records that were refused: by a step, by the database, or for want of a key. They wait in the dead-letter
topics with their origin, their bytes and the reason; their keys keep the rows that they had.`,
		Example: `  millrace dlq list shop.yaml             how many, of which stream, where and why
  millrace dlq show shop.yaml orders      each record of a stream, with its reason`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDLQListCommand(), newDLQShowCommand())
	return cmd
}

func newDLQListCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "list FILE [STREAM...]",
		Short: "Count the refused records, by stream, step and reason",
		Long: `Count the refused records, by stream, step and kind of reason, with the first and the last time and an example. It reads the
dead-letter topics to their ends, beside a running pipeline or without one.`,
		Example: `  millrace dlq list shop.yaml
  millrace dlq list shop.yaml orders --output json`,
		Args: cli.Args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			write, err := groupWriter(output)
			if err != nil {
				return err
			}
			var groups letterGroups
			if err := readLetters(cmd.Context(), args[0], args[1:], groups.add); err != nil {
				return err
			}
			return write(cmd.OutOrStdout(), groups.sorted())
		},
	}
	cmd.Flags().StringVar(&output, "output", "table", "table or json")
	return cmd
}

func newDLQShowCommand() *cobra.Command {
	var key string
	var most int
	cmd := &cobra.Command{
		Use:   "show FILE STREAM",
		Short: "Show the refused records of a stream",
		Long: `Show the refused records of a stream as JSON, one a line: where each was refused and why, its origin, its key and its value as the
API sent it. A value that is no JSON is given as text.`,
		Example: `  millrace dlq show shop.yaml orders
  millrace dlq show shop.yaml orders --key 4711
  millrace dlq show shop.yaml orders --limit 0 > refused.ndjson`,
		Args: cli.Args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, count := cmd.OutOrStdout(), 0
			return readLetters(cmd.Context(), args[0], args[1:], func(l letter) error {
				if key != "" && string(l.record.Key) != key || most > 0 && count >= most {
					return nil
				}
				count++
				return writeLetter(out, l)
			})
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "only records with this `key`")
	cmd.Flags().IntVar(&most, "limit", 20, "at most so many; 0: all")
	return cmd
}

// letter is a record of a dead-letter topic.
type letter struct {
	stream string
	topics.Letter
	origin topics.Origin
	record *kgo.Record
}

// readTimeout bounds what the brokers may take to answer one topic.
const readTimeout = 5 * time.Minute

// readLetters calls f for each letter of the streams of a pipeline file; of all streams if none is named. A letter that
// was sent twice is given once.
func readLetters(ctx context.Context, path string, streams []string, f func(letter) error) error {
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
		if err := readStreamLetters(ctx, opts, p.Name, s.Name, f); err != nil {
			return err
		}
	}
	return nil
}

func readStreamLetters(ctx context.Context, opts []kgo.Opt, pipeline, stream string, f func(letter) error) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	seen := map[string]bool{}
	var failed error
	topic := topics.DeadLetters(pipeline, stream)
	err := admin.Read(ctx, opts, topic, func(r *kgo.Record) {
		if failed != nil {
			return
		}
		l, origin, err := topics.ParseLetter(r)
		if err != nil {
			failed = fmt.Errorf("%s[%d]@%d is no letter of ours: %w", r.Topic, r.Partition, r.Offset, err)
			return
		}
		if seen[origin.ID] {
			return
		}
		seen[origin.ID] = true
		failed = f(letter{stream, l, origin, r})
	})
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("topic %s is not there: the pipeline has not run yet, or under another name", topic)
	}
	return errors.Join(err, failed)
}
