package grow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

const (
	maxMessageBytes = "max.message.bytes"
	timestampType   = "message.timestamp.type"
)

// settings are those of a topic.
func settings(ctx context.Context, adm *kadm.Client, topic string) (map[string]string, error) {
	described, err := adm.DescribeTopicConfigs(ctx, topic)
	if err == nil {
		config, missing := described.On(topic, nil)
		if err = cmp.Or(missing, config.Err); err == nil {
			out := map[string]string{}
			for _, c := range config.Configs {
				out[c.Key] = c.MaybeValue()
			}
			return out, nil
		}
	}
	return nil, fmt.Errorf("describe topic %s: %w", topic, err)
}

// keepsTime refuses a raw topic whose records would have the time at which they are written again.
func keepsTime(ctx context.Context, adm *kadm.Client, stream, topic string) error {
	is, err := settings(ctx, adm, topic)
	if err == nil && is[timestampType] == "LogAppendTime" {
		return refuse("stream %s: %s has %s=LogAppendTime, so the records would not keep their time: set it to CreateTime first", stream, topic, timestampType)
	}
	return err
}

// room lets the raw topic have records that say where they were. It never makes the largest batch smaller.
func (g *grower) room(ctx context.Context, s *pipeline.Stream) error {
	return g.largest(ctx, s, func(is int64) int64 { return max(is, int64(g.Pipeline.Kafka.MaxRecordBytes+wasBytes)) })
}

// roomNoMore takes back what room set.
func (g *grower) roomNoMore(ctx context.Context, s *pipeline.Stream) error {
	return g.largest(ctx, s, func(is int64) int64 {
		if is == int64(g.Pipeline.Kafka.MaxRecordBytes+wasBytes) {
			return int64(g.Pipeline.Kafka.MaxRecordBytes)
		}
		return is
	})
}

// largest sets the largest batch of a stream's raw topic, of what it is.
func (g *grower) largest(ctx context.Context, s *pipeline.Stream, of func(is int64) int64) error {
	topic := topics.Raw(g.Pipeline.Name, s.Name)
	all, err := settings(ctx, g.adm, topic)
	if err != nil {
		return err
	}
	is, _ := strconv.ParseInt(all[maxMessageBytes], 10, 64) // 0: a broker that does not say
	bytes := of(is)
	if bytes == is {
		return nil
	}
	value := strconv.FormatInt(bytes, 10)
	set, err := g.adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: maxMessageBytes, Value: &value}}, topic)
	if err == nil {
		_, err = set.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	}
	if err != nil {
		return fmt.Errorf("topic %s: set %s: %w", topic, maxMessageBytes, err)
	}
	return nil
}

// synced waits until all replicas of the raw topics have what was written again: what it is of is deleted next, from
// all of them.
func (g *grower) synced(ctx context.Context) error {
	for _, name := range g.names() {
		topic := topics.Raw(g.Pipeline.Name, name)
		if _, err := backoff.Retry(ctx, func() (struct{}, error) {
			details, err := g.adm.ListTopics(kadm.WithAuthorizedOps(ctx), topic)
			if err != nil {
				return struct{}{}, err
			}
			return struct{}{}, inSync(details[topic], g.To)
		}, backoff.WithMaxElapsedTime(g.Within)); err != nil {
			return fmt.Errorf("topic %s: %w: nothing is deleted before; bring the brokers up, and run the command again", topic, err)
		}
	}
	return nil
}

// inSync returns an error if a partition has fewer replicas in sync than it is to have.
func inSync(d kadm.TopicDetail, partitions int32) error {
	if d.Err != nil {
		return d.Err
	}
	if n := int32(len(d.Partitions)); n < partitions {
		return fmt.Errorf("the brokers know %d of its %d partitions", n, partitions)
	}
	var errs []error
	for _, p := range d.Partitions.Sorted() {
		if p.Err != nil {
			errs = append(errs, fmt.Errorf("partition %d: %w", p.Partition, p.Err))
		} else if len(p.ISR) < len(p.Replicas) {
			errs = append(errs, fmt.Errorf("partition %d has %d of %d replicas in sync", p.Partition, len(p.ISR), len(p.Replicas)))
		}
	}
	return errors.Join(errs...)
}
