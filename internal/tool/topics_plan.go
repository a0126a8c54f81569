package tool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/embedded"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

func newTopicsPlanCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "plan FILE",
		Short: "Show what of the topics differs from the pipeline file, and what `topics apply` would do",
		Long: `Show what of the topics differs from the pipeline file: topics that are missing, partitions, replication, retention, compaction,
the largest record, and min.insync.replicas; and what ` + "`millrace topics apply`" + ` would do about each, or who else has to do what. It changes
nothing. The topics of lines that are built beside the live one are looked at too.

Of a topic with three or more replicas it wants min.insync.replicas of 2, so that a write outlives the loss of a broker, unless
somebody has set it on the topic.

Exit codes: 0 nothing differs; 1 something differs, or needs an operator; 2 wrong command line or pipeline file.`,
		Example: `  millrace topics plan shop.yaml
  millrace topics plan shop.yaml --output json`,
		Args: cli.File,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withTopics(cmd, args[0], output, func(ctx context.Context, x *planned) error {
				if err := x.write(cmd.OutOrStdout(), output, x.steps); err != nil {
					return err
				}
				return x.left(x.steps)
			})
		},
	}
	cmd.Flags().StringVar(&output, "output", "table", "table or json")
	return cmd
}

func newTopicsApplyCommand() *cobra.Command {
	var output string
	var yes bool
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Make the topics that are missing, and give the others the settings of the pipeline file",
		Long: `Do what ` + "`millrace topics plan`" + ` shows: make the topics that are missing, and give the others the settings that the pipeline file
asks for. It says what it will do, and asks. A retention that gets shorter has the brokers delete records, which is asked for by name.

The number of partitions and of replicas it does not change: the last lines say which command does. Running stages need not be
stopped.

Exit codes: 0 nothing differs any more; 1 it was not confirmed, or something is left, as the last lines say; 2 wrong command line or
pipeline file.`,
		Example: `  millrace topics apply shop.yaml
  millrace topics apply shop.yaml --yes --output json`,
		Args: cli.File,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withTopics(cmd, args[0], output, func(ctx context.Context, x *planned) error {
				return x.apply(ctx, cmd, output, yes)
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().StringVar(&output, "output", "table", "table or json")
	return cmd
}

// planned is the topics of a pipeline, and what of them differs.
type planned struct {
	file  string
	adm   *kadm.Client
	specs []topics.Spec
	steps []admin.Step
}

// withTopics compares the topics of a pipeline file, and calls do.
func withTopics(cmd *cobra.Command, path, output string, do func(context.Context, *planned) error) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	p, err := cli.LoadPipeline(path)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	servers, err := embedded.Attach(ctx, p, quietLog)
	if err != nil {
		return err
	}
	defer func() { _ = servers.Close() }()
	client, opts, err := topicsClient(p)
	if err != nil {
		return err
	}
	defer client.Close()
	x := &planned{file: path, adm: kadm.NewClient(client)}
	asking, cancel := context.WithTimeout(ctx, topicsTimeout)
	defer cancel()
	if x.specs, err = specsOfLines(asking, opts, p); err == nil {
		x.steps, err = admin.Plan(asking, x.adm, x.specs)
	}
	if err != nil {
		return fmt.Errorf("kafka %s: %w", strings.Join(p.Kafka.Brokers, ","), err)
	}
	return do(ctx, x)
}

// specsOfLines are the topics of a pipeline, and of the lines of its streams that stages run.
func specsOfLines(ctx context.Context, opts []kgo.Opt, p *pipeline.Pipeline) ([]topics.Spec, error) {
	specs := topics.Specs(p)
	for _, s := range p.Streams {
		lines, err := runningLines(ctx, opts, p, s.Name)
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			for _, spec := range topics.Specs(line) {
				if !slices.ContainsFunc(specs, func(s topics.Spec) bool { return s.Topic == spec.Topic }) {
					specs = append(specs, spec)
				}
			}
		}
	}
	return specs, nil
}

// apply does what may be done.
func (x *planned) apply(ctx context.Context, cmd *cobra.Command, output string, yes bool) error {
	var due []admin.Step
	for _, s := range x.steps {
		if s.Does != "" {
			due = append(due, s)
		}
	}
	if len(due) > 0 {
		if !yes {
			if err := x.write(cmd.ErrOrStderr(), "table", due); err != nil {
				return err
			}
		}
		if err := confirm(cmd, yes, question(due)); err != nil {
			return err
		}
		doing, cancel := context.WithTimeout(ctx, topicsTimeout)
		defer cancel()
		if err := admin.Apply(doing, x.adm, x.specs, due); err != nil {
			return err
		}
	}
	if err := x.done(cmd.OutOrStdout(), output, due); err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, topicsTimeout)
	defer cancel()
	left, err := admin.Plan(asking, x.adm, x.specs)
	if err != nil {
		return err
	}
	return x.left(left)
}

// question asks for what is to be done; what deletes records by name.
func question(due []admin.Step) string {
	text := "Do these " + count(len(due), "step") + "?"
	var deletes []string
	for _, s := range due {
		if s.Deletes {
			deletes = append(deletes, fmt.Sprintf("%s of %s from %s to %s", s.Setting, s.Topic, s.Is, s.Want))
		}
	}
	if len(deletes) > 0 {
		text += " The brokers delete records for good by: " + strings.Join(deletes, "; ") + "."
	}
	return text
}

func (x *planned) write(out io.Writer, output string, steps []admin.Step) error {
	if output == "json" {
		return encode(out, append([]admin.Step{}, steps...))
	}
	if len(steps) == 0 {
		_, err := fmt.Fprintln(out, "the topics are as the file has them")
		return err
	}
	lines := []string{"TOPIC\tSETTING\tIS\tWANT\tAPPLY"}
	for _, s := range steps {
		does := s.Does
		if does == "" {
			does = "-"
		}
		if s.Deletes {
			does += ", which deletes records"
		}
		lines = append(lines, strings.Join([]string{s.Topic, s.Setting, s.Is, s.Want, does}, "\t"))
	}
	return writeTable(out, lines)
}

// done says what was done.
func (x *planned) done(out io.Writer, output string, steps []admin.Step) error {
	if output == "json" || len(steps) == 0 {
		return x.write(out, output, steps)
	}
	for _, s := range steps {
		text := fmt.Sprintf("%s: %s is %s, was %s", s.Topic, s.Setting, s.Want, s.Is)
		if s.Is == "missing" {
			text = fmt.Sprintf("%s: made, with %s", s.Topic, s.Want)
		}
		if _, err := fmt.Fprintln(out, text); err != nil {
			return err
		}
	}
	return nil
}

// left is the error of what still differs, with what to do about it.
func (x *planned) left(steps []admin.Step) error {
	due := 0
	var text []string
	for _, s := range steps {
		if s.Does != "" {
			due++
			continue
		}
		text = append(text, fmt.Sprintf("%s: %s is %s, the file wants %s: %s", s.Topic, s.Setting, s.Is, s.Want,
			strings.ReplaceAll(s.Next, " FILE ", " "+x.file+" ")))
	}
	if due > 0 {
		text = append(text, fmt.Sprintf("%s to do: millrace topics apply %s", count(due, "step"), x.file))
	}
	if len(text) == 0 {
		return nil
	}
	return errors.New(strings.Join(text, "\n"))
}

// encode writes what --output json shows.
func encode(out io.Writer, what any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(what)
}
