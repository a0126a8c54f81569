package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Cut returns the offsets that a group has committed of a topic, with their metadata, by partition. Transactions that
// would move them are waited for. Partitions without an offset are missing. The error is the brokers', or ctx's.
func Cut(ctx context.Context, cl *kgo.Client, group, topic string) (map[int32]kadm.Offset, error) {
	offsets, err := Cuts(ctx, cl, group, topic)
	return offsets[topic], err
}

// Cuts is [Cut] for several topics.
func Cuts(ctx context.Context, cl *kgo.Client, group string, topics ...string) (map[string]map[int32]kadm.Offset, error) {
	if len(topics) == 0 { // which would ask for all there are
		return map[string]map[int32]kadm.Offset{}, nil
	}
	details, err := kadm.NewClient(cl).ListTopics(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("offsets of group %s: list topics: %w", group, err)
	}
	of := map[string][]int32{}
	for _, topic := range topics {
		if err := details[topic].Err; err != nil {
			return nil, fmt.Errorf("offsets of group %s: topic %s: %w", group, topic, err)
		}
		of[topic] = slices.Collect(maps.Keys(details[topic].Partitions))
	}
	return Committed(ctx, cl, group, of)
}

// Committed is [Cut] for some partitions of several topics. It asks for each of them: of those that a group has not
// committed yet, brokers do not say otherwise that a transaction is about to.
func Committed(ctx context.Context, cl *kgo.Client, group string, of map[string][]int32) (map[string]map[int32]kadm.Offset, error) {
	adm := kadm.NewClient(cl)
	details, err := adm.ListTopics(ctx, slices.Collect(maps.Keys(of))...)
	if err != nil {
		return nil, fmt.Errorf("offsets of group %s: list topics: %w", group, err)
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	asked := kmsg.NewOffsetFetchRequestGroup()
	asked.Group = group
	names := map[[16]byte]string{}
	for topic, partitions := range of {
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.TopicID, t.Partitions = topic, details[topic].ID, partitions
		names[t.TopicID] = topic
		asked.Topics = append(asked.Topics, t)
	}
	req.Groups = append(req.Groups, asked)
	for wait := again(); ; {
		offsets, err := committed(ctx, cl, req, names)
		if err == nil {
			return offsets, nil
		}
		err = fmt.Errorf("offsets of group %s: %w", group, err)
		if !errors.Is(err, kerr.UnstableOffsetCommit) {
			return nil, err
		}
		if stopped := pause(ctx, wait); stopped != nil {
			return nil, errors.Join(err, stopped)
		}
	}
}

// committed asks once.
func committed(ctx context.Context, cl *kgo.Client, req *kmsg.OffsetFetchRequest, names map[[16]byte]string) (map[string]map[int32]kadm.Offset, error) {
	resp, err := req.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if errors.Is(err, kerr.GroupIDNotFound) { // it has committed nothing
		return map[string]map[int32]kadm.Offset{}, nil
	}
	if err != nil {
		return nil, err
	}
	offsets := map[string]map[int32]kadm.Offset{}
	for _, g := range resp.Groups {
		switch err := kerr.ErrorForCode(g.ErrorCode); {
		case errors.Is(err, kerr.GroupIDNotFound):
			continue
		case err != nil:
			return nil, err
		}
		for _, t := range g.Topics {
			topic := t.Topic
			if topic == "" {
				topic = names[t.TopicID]
			}
			offsets[topic] = map[int32]kadm.Offset{}
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, fmt.Errorf("%s[%d]: %w", topic, p.Partition, err)
				}
				if p.Offset >= 0 {
					o := kadm.Offset{Topic: topic, Partition: p.Partition, At: p.Offset, LeaderEpoch: p.LeaderEpoch}
					if p.Metadata != nil {
						o.Metadata = *p.Metadata
					}
					offsets[topic][p.Partition] = o
				}
			}
		}
	}
	return offsets, nil
}
