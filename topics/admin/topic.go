package admin

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Topic asks a broker for a topic, which is there. The error is kerr.UnknownTopicOrPartition if it is not, wrapped with
// its name.
func Topic(ctx context.Context, adm *kadm.Client, name string) (kadm.TopicDetail, error) {
	details, err := Topics(ctx, adm, name)
	return details[name], err
}

// Topics is [Topic] of several. No name means all that there are.
func Topics(ctx context.Context, adm *kadm.Client, names ...string) (kadm.TopicDetails, error) {
	details, err := list(ctx, adm, names...)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		d, ok := details[name]
		if !ok {
			d.Err = kerr.UnknownTopicOrPartition
		}
		if d.Err != nil {
			return nil, fmt.Errorf("topic %s: %w", name, d.Err)
		}
	}
	return details, nil
}

// list asks a broker for topics. The authorized operations are of no interest; asking for them keeps the
// client from answering out of its cache, where a topic that was made just now is missing for some seconds.
func list(ctx context.Context, adm *kadm.Client, names ...string) (kadm.TopicDetails, error) {
	details, err := adm.ListTopics(kadm.WithAuthorizedOps(ctx), names...)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	return details, nil
}
