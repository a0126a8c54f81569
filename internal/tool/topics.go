package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/kafka"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// quietLog is for commands that tell what they do themselves.
var quietLog = slog.New(slog.DiscardHandler)

// topicsTimeout bounds what the brokers may take to answer, in all.
const topicsTimeout = 30 * time.Second

// newTopicsCommand is `millrace topics`.
func newTopicsCommand() *cobra.Command {
	f := &topicsFlags{}
	cmd := &cobra.Command{
		Use:   "topics FILE",
		Short: "List the topics of a pipeline as they should be and as they are, and create them",
		Long: `List the topics of a pipeline as they should be and as they are: ok, missing, or what differs and what to do about it.

Every stage creates the topics that are missing when it starts, and refuses topics with other settings. With --create
this command creates them, for whoever makes topics ahead of the deployment.

Exit codes: 0 all are as they should be; 1 a topic is missing or differs, or something needs an operator, as the last line says; 2 wrong
command line or pipeline file.`,
		Example: `  millrace topics shop.yaml
  millrace topics shop.yaml --create
  millrace topics plan shop.yaml                what differs, and what apply would do
  millrace topics apply shop.yaml               do it
  millrace topics grow shop.yaml --partitions 16
  millrace topics list shop.yaml                how much is in each, and who lags
  millrace topics tail shop.yaml orders         the last records
  millrace topics grep shop.yaml orders 4711    the whole history of a key`,
		Args: cli.File,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(f.output); err != nil {
				return err
			}
			p, err := cli.LoadPipeline(args[0])
			if err != nil {
				return err
			}
			if p.Kafka.Embedded {
				return f.embedded(cmd.OutOrStdout(), p)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), topicsTimeout)
			defer cancel()
			return f.show(ctx, cmd.OutOrStdout(), p, args[0])
		},
	}
	cmd.AddCommand(newTopicsPlanCommand(), newTopicsApplyCommand(), newTopicsGrowCommand(), newTopicsListCommand(), newTopicsTailCommand(), newTopicsGrepCommand())
	cmd.Flags().BoolVar(&f.create, "create", false, "create those that are missing")
	cmd.Flags().StringVar(&f.output, "output", "table", "table or json")
	return cmd
}

// topicsFlags are those of `millrace topics`.
type topicsFlags struct {
	create bool
	output string
}

// embedded lists what the broker of another process should have.
func (f *topicsFlags) embedded(out io.Writer, p *pipeline.Pipeline) error {
	if f.create {
		return errors.New("the embedded broker of this pipeline lives in the process of `millrace run`, which makes its topics itself")
	}
	return f.write(out, topics.Specs(p), func(topics.Spec) string { return "embedded, not asked" })
}

// topicsClient is the client of commands about topics, and what it was made of. It must be closed.
func topicsClient(p *pipeline.Pipeline) (*kgo.Client, []kgo.Opt, error) {
	opts, err := kafka.Opts(p.Kafka, "millrace-topics", quietLog, nil)
	if err != nil {
		return nil, nil, err
	}
	client, err := kgo.NewClient(opts...)
	return client, opts, err
}

// show lists the topics with what the brokers have.
func (f *topicsFlags) show(ctx context.Context, out io.Writer, p *pipeline.Pipeline, file string) error {
	client, _, err := topicsClient(p)
	if err != nil {
		return err
	}
	defer client.Close()
	adm, specs := kadm.NewClient(client), topics.Specs(p)
	mismatch := (*admin.MismatchError)(nil)
	if f.create {
		if err := admin.Ensure(ctx, adm, specs); err != nil && !errors.As(err, &mismatch) {
			return fmt.Errorf("kafka %s: %w", strings.Join(p.Kafka.Brokers, ","), err)
		}
	}
	missing, differs, err := admin.Inspect(ctx, adm, specs)
	if err != nil {
		return fmt.Errorf("kafka %s: %w", strings.Join(p.Kafka.Brokers, ","), err)
	}
	err = f.write(out, specs, func(s topics.Spec) string { return topicState(s, missing, differs) })
	switch {
	case err != nil:
		return err
	case len(differs) > 0:
		return &admin.MismatchError{Mismatches: differs}
	case len(missing) > 0:
		return fmt.Errorf("%s missing; `millrace topics %s --create` makes them, and so does each stage when it starts",
			count(len(missing), "topic"), file)
	}
	return nil
}

// topicState says what is wrong with a topic, or ok.
func topicState(s topics.Spec, missing []topics.Spec, differs []admin.Mismatch) string {
	if slices.ContainsFunc(missing, func(m topics.Spec) bool { return m.Topic == s.Topic }) {
		return "missing"
	}
	var is []string
	for _, m := range differs {
		if m.Topic == s.Topic {
			is = append(is, m.Setting+" is "+m.Is)
		}
	}
	if len(is) > 0 {
		return strings.Join(is, ", ")
	}
	return "ok"
}

// plannedTopic is a topic as it should be, and how it is, as JSON.
type plannedTopic struct {
	Topic       string            `json:"topic"`
	Partitions  int32             `json:"partitions"`
	Replication int16             `json:"replication"` // -1: the brokers' default
	Settings    map[string]string `json:"settings"`
	State       string            `json:"state"` // ok, missing, or what differs
}

func (f *topicsFlags) write(out io.Writer, specs []topics.Spec, state func(topics.Spec) string) error {
	if f.output != "json" {
		return writeTopics(out, specs, state)
	}
	all := make([]plannedTopic, len(specs))
	for i, s := range specs {
		all[i] = plannedTopic{s.Topic, s.Partitions, s.Replication, map[string]string{}, state(s)}
		maps.Copy(all[i].Settings, s.Configs)
		maps.Copy(all[i].Settings, s.Tuned)
	}
	return writeJSON(out, all)
}

func writeTopics(out io.Writer, specs []topics.Spec, state func(topics.Spec) string) error {
	lines := []string{"TOPIC\tPARTITIONS\tREPLICATION\tSETTINGS\tSTATE"}
	for _, s := range specs {
		var settings []string
		for _, some := range []map[string]string{s.Configs, s.Tuned} {
			for _, name := range slices.Sorted(maps.Keys(some)) {
				settings = append(settings, name+"="+some[name])
			}
		}
		replication := "default"
		if s.Replication > 0 {
			replication = strconv.Itoa(int(s.Replication))
		}
		lines = append(lines, fmt.Sprintf("%s\t%d\t%s\t%s\t%s", s.Topic, s.Partitions, replication, strings.Join(settings, " "), state(s)))
	}
	return writeTable(out, lines)
}
