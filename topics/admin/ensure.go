package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/topics"
)

// Ensure creates the topics that are missing and checks the settings of those that are there, so that a
// topic which somebody else made differently is reported and never used in silence. Each stage calls it at
// its start; any number of processes may do so at the same time, again and again.
//
// What only keeps a topic small it sets itself, see [topics.Spec], unless the topic has a value of its own or the
// brokers do not know the setting.
//
// It returns nil once every topic is known to the broker that was asked, a *[MismatchError] if a topic has other
// settings or a *[VersionError] if a broker is too old, which need an operator, and otherwise what the brokers
// answered: the caller tries again.
func Ensure(ctx context.Context, adm *kadm.Client, specs []topics.Spec) error {
	return EnsureIf(ctx, adm, specs, nil)
}

// EnsureIf is [Ensure], but asks may before it makes a topic that is missing; nil: nobody is asked. If may returns an
// error it makes none, and returns that.
func EnsureIf(ctx context.Context, adm *kadm.Client, specs []topics.Spec, may func(context.Context) error) error {
	if err := checkVersions(ctx, adm); err != nil {
		return err
	}
	details, err := list(ctx, adm, names(specs)...)
	if err != nil {
		return err
	}
	var missing, existing []topics.Spec
	for _, s := range specs {
		switch d, ok := details[s.Topic]; {
		case !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			missing = append(missing, s)
		case d.Err != nil:
			return fmt.Errorf("topic %s: %w", s.Topic, d.Err)
		default:
			existing = append(existing, s)
		}
	}
	if len(missing) > 0 {
		if may != nil {
			if err := may(ctx); err != nil {
				return err
			}
		}
		raced, err := create(ctx, adm.CreateTopics, missing)
		if err != nil {
			return err
		}
		existing = append(existing, raced...)
		// A broker answers the creation before all brokers have heard of the topic.
		if details, err = await(ctx, adm, specs); err != nil {
			return err
		}
	}
	described, err := describe(ctx, adm, existing)
	if err != nil {
		return err
	}
	if err := check(existing, details, described); err != nil {
		return err
	}
	return tune(ctx, adm, existing, described)
}

// maxCreate is how many partitions one request makes, but for a topic that has more. Brokers refuse a request for more
// than 10,000 (KRaft's ReplicationControlManager), and answer one within the time of a request.
const maxCreate = 2000

// MayCreate reports why topics that are missing could not be made, as their brokers see it. It makes none. Nil: they
// could.
func MayCreate(ctx context.Context, adm *kadm.Client, missing []topics.Spec) error {
	_, err := create(ctx, adm.ValidateCreateTopics, missing)
	return err
}

// creator is how topics are made, or how it is asked whether they could be.
type creator func(ctx context.Context, partitions int32, replication int16, configs map[string]*string, names ...string) (kadm.CreateTopicResponses, error)

// create makes the topics. raced are those that another process made first.
func create(ctx context.Context, request creator, missing []topics.Spec) (raced []topics.Spec, err error) {
	for len(missing) > 0 {
		like := missing[0] // one request holds one set of settings
		var group, rest []topics.Spec
		for _, s := range missing {
			fits := len(group) == 0 || (len(group)+1)*int(like.Partitions) <= maxCreate
			if fits && s.Partitions == like.Partitions && s.Replication == like.Replication && maps.Equal(s.Configs, like.Configs) &&
				maps.Equal(s.Tuned, like.Tuned) {
				group = append(group, s)
			} else {
				rest = append(rest, s)
			}
		}
		missing = rest
		configs := make(map[string]*string, len(like.Configs)+len(like.Tuned))
		for _, some := range []map[string]string{like.Tuned, like.Configs} {
			for name, value := range some {
				configs[name] = &value
			}
		}
		responses, err := request(ctx, like.Partitions, like.Replication, configs, names(group)...)
		if err != nil {
			return nil, fmt.Errorf("create topics: %w", err)
		}
		for _, s := range group {
			switch r, ok := responses[s.Topic]; {
			case !ok:
				return nil, fmt.Errorf("create topic %s: the broker did not answer for it", s.Topic)
			case errors.Is(r.Err, kerr.TopicAlreadyExists):
				raced = append(raced, s)
			case errors.Is(r.Err, kerr.InvalidConfig) && len(s.Tuned) > 0: // a broker that is not Kafka's may know less
				s.Tuned = nil
				missing = append(missing, s)
			case r.Err != nil:
				return nil, creationError(s, r)
			}
		}
	}
	return raced, nil
}

func creationError(s topics.Spec, r kadm.CreateTopicResponse) error {
	err := fmt.Errorf("create topic %s: %w", s.Topic, r.Err)
	if r.ErrMessage != "" {
		err = fmt.Errorf("%w (%s)", err, r.ErrMessage)
	}
	switch {
	case errors.Is(r.Err, kerr.InvalidReplicationFactor):
		return fmt.Errorf("%w; kafka.replication is %d: there must be as many brokers, or set -1 for the brokers' default", err, s.Replication)
	case errors.Is(r.Err, kerr.InvalidTopicException):
		return fmt.Errorf("%w; Kafka takes '.' and '_' for the same in names: is there a topic that differs only in these? Rename the stream or the pipeline", err)
	case errors.Is(r.Err, kerr.TopicAuthorizationFailed), errors.Is(r.Err, kerr.ClusterAuthorizationFailed):
		return fmt.Errorf("%w; allow this user to Create it, or create it beforehand with %d partitions and the settings %s",
			err, s.Partitions, settings(s.Configs))
	}
	return err
}

// await waits until the broker that is asked knows all topics.
func await(ctx context.Context, adm *kadm.Client, specs []topics.Spec) (kadm.TopicDetails, error) {
	return backoff.Retry(ctx, func() (kadm.TopicDetails, error) {
		details, err := list(ctx, adm, names(specs)...)
		if err != nil {
			return nil, backoff.Permanent(err)
		}
		for _, s := range specs {
			d, ok := details[s.Topic]
			if !ok {
				return nil, fmt.Errorf("topic %s: %w", s.Topic, kerr.UnknownTopicOrPartition)
			}
			if d.Err != nil {
				return nil, fmt.Errorf("topic %s: %w", s.Topic, d.Err)
			}
		}
		return details, nil
	}, backoff.WithBackOff(again()), backoff.WithMaxElapsedTime(30*time.Second))
}

// describe asks for the settings of topics.
func describe(ctx context.Context, adm *kadm.Client, specs []topics.Spec) (kadm.ResourceConfigs, error) {
	if len(specs) == 0 {
		return nil, nil
	}
	described, err := adm.DescribeTopicConfigs(ctx, names(specs)...)
	if err != nil {
		return nil, fmt.Errorf("describe topics: %w", err)
	}
	for _, s := range specs {
		config, err := described.On(s.Topic, nil)
		if err = cmp.Or(err, config.Err); err != nil {
			return nil, fmt.Errorf("describe topic %s: %w", s.Topic, err)
		}
	}
	return described, nil
}

// check compares topics that this call did not make with what they should be.
func check(specs []topics.Spec, details kadm.TopicDetails, described kadm.ResourceConfigs) error {
	var found []Mismatch
	for _, s := range specs {
		found = append(found, compareLayout(s, details[s.Topic])...)
		config, _ := described.On(s.Topic, nil) // it is there, says describe
		found = append(found, compareConfigs(s, config)...)
	}
	if len(found) > 0 {
		return &MismatchError{found}
	}
	return nil
}

func names(specs []topics.Spec) []string {
	out := make([]string, len(specs))
	for i, s := range specs {
		out[i] = s.Topic
	}
	return out
}

func settings(configs map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		out = append(out, name+"="+configs[name])
	}
	return strings.Join(out, ",")
}
