package tool

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// listedTopic is a topic as it is.
type listedTopic struct {
	Topic      string `json:"topic"`
	Partitions int    `json:"partitions"`
	// between the start of the log and its end: records, and markers of transactions
	Offsets   int64            `json:"offsets"`
	Bytes     *int64           `json:"bytes,omitempty"` // on the disks of one replica; absent: the brokers do not say
	Retention string           `json:"retention"`
	Lag       map[string]int64 `json:"lag,omitempty"` // records, by stage; of a line that is not live, with its number
}

func newTopicsListCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "list FILE",
		Short: "List the topics of a pipeline: how much is in each, how long it stays, and who lags",
		Long: `List the topics of a pipeline as they are: partitions, offsets in the log (records, and the markers that end transactions), bytes
of one replica, retention, and the lag in records of the processors of each line, and of the sinks. How far the sinks are is asked of the
database.

Exit codes: 0 they are listed; 1 something that needs an operator, as the last line says; 2 wrong command line or pipeline file.`,
		Example: `  millrace topics list shop.yaml
  millrace topics list shop.yaml --output json`,
		Args: cli.File,
		RunE: func(cmd *cobra.Command, args []string) error { return listTopics(cmd, args[0], output) },
	}
	cmd.Flags().StringVar(&output, "output", "table", "table or json")
	return cmd
}

// listTopics is `millrace topics list`.
func listTopics(cmd *cobra.Command, path, output string) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), topicsTimeout)
	defer cancel()
	o, err := operate(ctx, path, nil)
	if err != nil {
		return err
	}
	defer o.close()
	all, err := o.topics(ctx)
	if err != nil {
		return err
	}
	if output == "json" {
		return writeJSON(cmd.OutOrStdout(), all)
	}
	lines := []string{"TOPIC\tPARTITIONS\tOFFSETS\tSIZE\tRETENTION\tLAG"}
	for i := range all {
		lines = append(lines, all[i].line())
	}
	return writeTable(cmd.OutOrStdout(), lines)
}

func (l *listedTopic) line() string {
	size, lag := "-", "-"
	if l.Bytes != nil {
		size = humanize.IBytes(uint64(*l.Bytes))
	}
	if len(l.Lag) > 0 {
		var all []string
		for _, stage := range slices.Sorted(maps.Keys(l.Lag)) {
			all = append(all, stage+" "+humanize.Comma(l.Lag[stage]))
		}
		lag = strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s\t%d\t%s\t%s\t%s\t%s", l.Topic, l.Partitions, humanize.Comma(l.Offsets), size, l.Retention, lag)
}

// topics are those of the pipeline that are there.
func (o *operation) topics(ctx context.Context) ([]listedTopic, error) {
	lines, err := o.shadows(ctx)
	if err != nil {
		return nil, err
	}
	names := o.topicNames(lines)
	adm := kadm.NewClient(o.client)
	starts, err := adm.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	ends, err := adm.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	configs, err := adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, err
	}
	sizes := sizesOf(ctx, adm)
	lags, err := o.lags(ctx, lines)
	if err != nil {
		return nil, err
	}
	out := make([]listedTopic, 0, len(names))
	for _, name := range names {
		l := listedTopic{Topic: name, Lag: lags[name], Retention: "-"}
		l.count(starts, ends)
		if bytes, ok := sizes[name]; ok {
			l.Bytes = &bytes
		}
		if c, err := configs.On(name, nil); err == nil {
			l.Retention = retention(c)
		}
		out = append(out, l)
	}
	return out, nil
}

// topicNames are the topics of the pipeline and of the lines beside it, whose raw topics are the pipeline's.
func (o *operation) topicNames(lines []*pipeline.Pipeline) (names []string) {
	for _, s := range topics.Specs(o.Pipeline) {
		names = append(names, s.Topic)
	}
	for _, line := range lines {
		for _, s := range topics.Specs(line) {
			if s.Topic != topics.RawOf(line, line.Streams[0].Name) {
				names = append(names, s.Topic)
			}
		}
	}
	return names
}

// count counts the partitions and their offsets.
func (l *listedTopic) count(starts, ends kadm.ListedOffsets) {
	for partition, end := range ends[l.Topic] {
		start, _ := starts.Lookup(l.Topic, partition)
		if end.Err == nil {
			l.Partitions++
			l.Offsets += end.Offset - start.Offset
		}
	}
}

// sizesOf is how many bytes the largest replicas of topics have, as far as the brokers say.
func sizesOf(ctx context.Context, adm *kadm.Client) map[string]int64 {
	dirs, err := adm.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		return nil
	}
	largest := map[string]map[int32]int64{}
	dirs.Each(func(d kadm.DescribedLogDir) {
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			if largest[p.Topic] == nil {
				largest[p.Topic] = map[int32]int64{}
			}
			largest[p.Topic][p.Partition] = max(largest[p.Topic][p.Partition], p.Size)
		})
	})
	sizes := map[string]int64{}
	for topic, partitions := range largest {
		for _, bytes := range partitions {
			sizes[topic] += bytes
		}
	}
	return sizes
}

// retention is how long a topic keeps its records.
func retention(c kadm.ResourceConfig) string {
	values := map[string]string{}
	for _, one := range c.Configs {
		values[one.Key] = one.MaybeValue()
	}
	if strings.Contains(values["cleanup.policy"], "compact") {
		return "newest of each key"
	}
	ms, err := strconv.ParseInt(values["retention.ms"], 10, 64)
	switch {
	case err != nil:
		return "-"
	case ms < 0:
		return "for ever"
	case ms%(24*3600*1000) == 0:
		return count(int(ms/(24*3600*1000)), "day")
	}
	return (time.Duration(ms) * time.Millisecond).String()
}

// lags are how many records of the raw topics the processors, and of the processed topics the sinks have to do, by
// topic and stage. Each line has processors of its own. A base line that was dropped has none.
func (o *operation) lags(ctx context.Context, shadows []*pipeline.Pipeline) (map[string]map[string]int64, error) {
	v, err := o.decided(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]map[string]int64{}
	for _, p := range append([]*pipeline.Pipeline{o.Pipeline}, shadows...) {
		if err := o.lagsOf(ctx, p, v, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// lagsOf adds the lags of a pipeline, or of a line.
func (o *operation) lagsOf(ctx context.Context, p *pipeline.Pipeline, v *control.View, out map[string]map[string]int64) error {
	db, err := sink.OpenAdmin(p)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, s := range p.Streams {
		decided := v.Stream(s.Name)
		if p.Line == nil && decided.Without() {
			continue
		}
		raw, processed := topics.RawOf(p, s.Name), topics.Processed(p.Name, s.Name)
		who := "processor"
		if number := lineNumber(p); decided.LiveNumber() != number {
			who += fmt.Sprintf(" of line %d", number)
		}
		if out[raw] == nil {
			out[raw] = map[string]int64{}
		}
		if out[raw][who], err = o.processorLag(ctx, p, raw, s.Name); err != nil {
			return err
		}
		n, err := sinkLag(ctx, o, p, db, &s)
		if err != nil {
			return err
		}
		out[processed] = map[string]int64{"sink": n}
	}
	return nil
}

// processorLag is how many records of a raw topic the processors of a pipeline, or of a line, have to do.
func (o *operation) processorLag(ctx context.Context, p *pipeline.Pipeline, raw, stream string) (int64, error) {
	decided, err := decidedAbout(ctx, o.opts, p, stream) // its positions are the line's own
	if err != nil {
		return 0, err
	}
	return control.Lag(ctx, o.client, topics.ProcessorGroup(p.Name), map[string]*control.Stream{raw: decided})
}

func sinkLag(ctx context.Context, o *operation, p *pipeline.Pipeline, db *sink.Admin, s *pipeline.Stream) (int64, error) {
	at := map[int32]int64{}
	positions, err := db.Positions(ctx, s.Name)
	if err != nil {
		return 0, err
	}
	for partition := range o.Kafka.Partitions {
		at[partition] = -1
		if p, ok := positions[partition]; ok {
			at[partition] = p.Next
		}
	}
	return admin.Remaining(ctx, o.client, map[string]map[int32]int64{topics.Processed(p.Name, s.Name): at})
}
