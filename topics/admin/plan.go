package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/topics"
)

// Step is one difference between a topic and what it should be, and what puts it right.
type Step struct {
	Topic   string `json:"topic"`
	Setting string `json:"setting"` // "topic", "partitions", "replication", or a topic setting such as "retention.ms"
	Is      string `json:"is"`
	Want    string `json:"want"`
	Does    string `json:"does,omitempty"`    // what [Apply] does about it; empty: nothing, it may not
	Deletes bool   `json:"deletes,omitempty"` // what Apply does has the brokers delete records
	Next    string `json:"next,omitempty"`    // what an operator does, where Apply may not
}

// Settings of a step.
const (
	wholeTopic = "topic"
	insync     = "min.insync.replicas"
)

// Plan compares topics with what they should be, and changes nothing. The steps are in the order of specs; none, if
// nothing differs. Of a topic with three or more replicas it wants that a write is on two of them, unless somebody has
// set min.insync.replicas on the topic. The error is the brokers', or ctx's.
func Plan(ctx context.Context, adm *kadm.Client, specs []topics.Spec) ([]Step, error) {
	details, err := list(ctx, adm, names(specs)...)
	if err != nil {
		return nil, err
	}
	var existing []topics.Spec
	for _, s := range specs {
		d, ok := details[s.Topic]
		if there := ok && !errors.Is(d.Err, kerr.UnknownTopicOrPartition); there && d.Err != nil {
			return nil, fmt.Errorf("topic %s: %w", s.Topic, d.Err)
		} else if there {
			existing = append(existing, s)
		}
	}
	described, err := describe(ctx, adm, existing)
	if err != nil {
		return nil, err
	}
	var steps []Step
	for _, s := range specs {
		if !slices.ContainsFunc(existing, func(e topics.Spec) bool { return e.Topic == s.Topic }) {
			steps = append(steps, creation(s))
			continue
		}
		config, _ := described.On(s.Topic, nil) // it is there, says describe
		steps = append(steps, differences(s, details[s.Topic], config)...)
	}
	return steps, nil
}

// creation is the step of a topic that is missing.
func creation(s topics.Spec) Step {
	want := fmt.Sprintf("%d partitions", s.Partitions)
	if s.Replication > 0 {
		want += fmt.Sprintf(", %d replicas", s.Replication)
	}
	return Step{Topic: s.Topic, Setting: wholeTopic, Is: "missing", Want: want, Does: "make it"}
}

// differences are the steps of a topic that is there.
func differences(s topics.Spec, d kadm.TopicDetail, is kadm.ResourceConfig) (steps []Step) {
	for _, m := range compareLayout(s, d) {
		steps = append(steps, Step{Topic: m.Topic, Setting: m.Setting, Is: m.Is, Want: m.Want, Next: m.Hint})
	}
	for _, m := range compareConfigs(s, is) {
		step := Step{Topic: m.Topic, Setting: m.Setting, Is: m.Is, Want: m.Want, Does: "set it"}
		if !slices.ContainsFunc(is.Configs, func(c kadm.Config) bool { return c.Key == m.Setting }) {
			step.Does, step.Next = "", "the brokers do not know this setting"
		}
		step.Deletes = shortens(m)
		steps = append(steps, step)
	}
	for _, a := range untuned(s, is) {
		steps = append(steps, Step{Topic: s.Topic, Setting: a.Name, Is: "not set on the topic", Want: *a.Value, Does: "set it"})
	}
	return append(steps, replicas(s.Topic, d, is)...)
}

// shortens reports whether records are deleted that would have been kept.
func shortens(m Mismatch) bool {
	switch m.Setting {
	case "cleanup.policy":
		return true
	case "retention.ms":
		is, err1 := strconv.ParseInt(m.Is, 10, 64)
		want, err2 := strconv.ParseInt(m.Want, 10, 64)
		return errors.Join(err1, err2) != nil || want >= 0 && (is < 0 || want < is)
	}
	return false
}

// replicas is the step of min.insync.replicas.
func replicas(topic string, d kadm.TopicDetail, is kadm.ResourceConfig) []Step {
	i := slices.IndexFunc(is.Configs, func(c kadm.Config) bool { return c.Key == insync })
	if i < 0 || len(d.Partitions) == 0 {
		return nil
	}
	n := d.Partitions.NumReplicas()
	c := is.Configs[i]
	least, err := strconv.Atoi(c.MaybeValue())
	want := 2
	switch {
	case err != nil:
		return nil
	case least > n: // nothing can be written
		want = max(n-1, 1)
	case n < 3 || least >= 2 || c.Source == kmsg.ConfigSourceDynamicTopicConfig:
		return nil
	}
	return []Step{{Topic: topic, Setting: insync, Is: fmt.Sprintf("%d of %d replicas", least, n), Want: strconv.Itoa(want), Does: "set it"}}
}

// Apply does the steps of [Plan] that it may; the others it leaves out. It may be called again after an error. The
// error is the brokers', or ctx's.
func Apply(ctx context.Context, adm *kadm.Client, specs []topics.Spec, steps []Step) error {
	var missing []topics.Spec
	for _, step := range steps {
		i := slices.IndexFunc(specs, func(s topics.Spec) bool { return s.Topic == step.Topic })
		switch {
		case i < 0 || step.Does == "":
		case step.Setting == wholeTopic:
			missing = append(missing, specs[i])
		default:
			if err := set(ctx, adm, step); err != nil {
				return err
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := create(ctx, adm.CreateTopics, missing); err != nil {
		return err
	}
	_, err := await(ctx, adm, missing)
	return err
}

// set gives a topic a setting.
func set(ctx context.Context, adm *kadm.Client, step Step) error {
	responses, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: step.Setting, Value: &step.Want}}, step.Topic)
	if err != nil {
		return fmt.Errorf("alter topic %s: %w", step.Topic, err)
	}
	r, err := responses.On(step.Topic, nil)
	if err == nil {
		err = r.Err
	}
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return fmt.Errorf("alter topic %s: %w; allow this user AlterConfigs on the topic, or %s", step.Topic, err,
			alterCommand(step.Topic, step.Setting, step.Want))
	case err != nil:
		return fmt.Errorf("alter topic %s to %s=%s: %w", step.Topic, step.Setting, step.Want, err)
	}
	return nil
}
