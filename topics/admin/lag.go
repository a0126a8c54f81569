package admin

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Lag is how many data records of topics a consumer group has not committed yet, counted as [Remaining] does. Each
// topic has that many partitions. cl may be any client.
func Lag(ctx context.Context, cl *kgo.Client, group string, partitions int32, topics ...string) (int64, error) {
	committed, err := kadm.NewClient(cl).FetchOffsets(ctx, group)
	if err != nil {
		return 0, fmt.Errorf("offsets of group %s: %w", group, err)
	}
	from := make(map[string]map[int32]int64, len(topics))
	for _, topic := range topics {
		from[topic] = make(map[int32]int64, partitions)
		for partition := range partitions {
			from[topic][partition] = -1
			if o, ok := committed.Lookup(topic, partition); ok && o.Err == nil {
				from[topic][partition] = o.At
			}
		}
	}
	return Remaining(ctx, cl, from)
}
