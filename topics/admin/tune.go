package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/topics"
)

// tune gives topics the settings that they should have and have no value of their own for.
func tune(ctx context.Context, adm *kadm.Client, specs []topics.Spec, described kadm.ResourceConfigs) error {
	for _, s := range specs {
		config, _ := described.On(s.Topic, nil) // it is there, says describe
		alter := untuned(s, config)
		if len(alter) == 0 {
			continue
		}
		responses, err := adm.AlterTopicConfigs(ctx, alter, s.Topic)
		if err != nil {
			return fmt.Errorf("alter topic %s: %w", s.Topic, err)
		}
		r, err := responses.On(s.Topic, nil)
		switch {
		case err != nil:
			return fmt.Errorf("alter topic %s: %w", s.Topic, err)
		case errors.Is(r.Err, kerr.TopicAuthorizationFailed), errors.Is(r.Err, kerr.ClusterAuthorizationFailed):
			return forbidden(s, alter, r.Err)
		case r.Err != nil:
			return fmt.Errorf("alter topic %s to %s: %w", s.Topic, settings(s.Tuned), r.Err)
		}
	}
	return nil
}

// untuned is what the topic has no value of its own for, among the settings that its broker knows.
func untuned(s topics.Spec, is kadm.ResourceConfig) []kadm.AlterConfig {
	var alter []kadm.AlterConfig
	for _, name := range slices.Sorted(maps.Keys(s.Tuned)) {
		i := slices.IndexFunc(is.Configs, func(c kadm.Config) bool { return c.Key == name })
		if i < 0 || is.Configs[i].Source == kmsg.ConfigSourceDynamicTopicConfig {
			continue
		}
		value := s.Tuned[name]
		alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value})
	}
	return alter
}

// forbidden asks an operator to set what this user may not: without it the topic grows until it cannot be read any
// more.
func forbidden(s topics.Spec, alter []kadm.AlterConfig, err error) error {
	var found []Mismatch
	for _, a := range alter {
		found = append(found, Mismatch{
			s.Topic, a.Name, "not set on the topic, and this user may not set it (" + err.Error() + ")", *a.Value,
			"allow this user AlterConfigs on the topic, or " + alterCommand(s.Topic, a.Name, *a.Value),
		})
	}
	return &MismatchError{found}
}
