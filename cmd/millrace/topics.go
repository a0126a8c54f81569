package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/kafka"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// newTopicsCommand is `millrace topics`.
func newTopicsCommand() *cobra.Command {
	var create bool
	cmd := &cobra.Command{
		Use:   "topics FILE",
		Short: "List the topics of a pipeline as they should be, and create or check them",
		Long: `List the topics of a pipeline as they should be, and create or check them.

Every stage creates the topics that are missing when it starts, and refuses topics with other settings. With --create
this command does the same, for whoever makes topics ahead of the deployment.`,
		Example: `  millrace topics shop.yaml
  millrace topics shop.yaml --create`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := pipeline.Load(args[0])
			if err != nil {
				return err
			}
			if err := listTopics(cmd, p); err != nil || !create {
				return err
			}
			if p.Kafka.Embedded {
				return errors.New("the embedded broker of this pipeline is in the process of `millrace run`, which makes its topics itself")
			}
			if err := ensureTopics(cmd.Context(), p); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "all of them are there, with these settings")
			return err
		},
	}
	cmd.Flags().BoolVar(&create, "create", false, "create those that are missing and check the others")
	return cmd
}

func listTopics(cmd *cobra.Command, p *pipeline.Pipeline) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
	if _, err := fmt.Fprintln(w, "TOPIC\tPARTITIONS\tREPLICATION\tSETTINGS"); err != nil {
		return err
	}
	for _, s := range topics.Specs(p) {
		var settings []string
		for _, name := range slices.Sorted(maps.Keys(s.Configs)) {
			settings = append(settings, name+"="+s.Configs[name])
		}
		replication := "broker's default"
		if s.Replication > 0 {
			replication = fmt.Sprint(s.Replication)
		}
		if _, err := fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", s.Topic, s.Partitions, replication, strings.Join(settings, " ")); err != nil {
			return err
		}
	}
	return w.Flush()
}

func ensureTopics(ctx context.Context, p *pipeline.Pipeline) error {
	opts, err := kafka.Opts(p.Kafka, "millrace-topics", slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return topics.Ensure(ctx, kadm.NewClient(client), topics.Specs(p))
}
