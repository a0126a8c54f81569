package admin

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Starts returns the offset at which each partition of a topic begins. The error names the topic.
func Starts(ctx context.Context, adm *kadm.Client, topic string) (map[int32]int64, error) {
	all, err := offsets(ctx, adm.ListStartOffsets, topic)
	if err != nil {
		return nil, fmt.Errorf("starts of %s: %w", topic, err)
	}
	return all, nil
}

// Ends returns the high watermark of each partition of a topic: all that was written to it before the call is below.
// The error names the topic.
func Ends(ctx context.Context, adm *kadm.Client, topic string) (map[int32]int64, error) {
	all, err := offsets(ctx, adm.ListEndOffsets, topic)
	if err != nil {
		return nil, fmt.Errorf("ends of %s: %w", topic, err)
	}
	return all, nil
}

// offsets are by partition. An error of one is an error of all.
func offsets(ctx context.Context, list func(context.Context, ...string) (kadm.ListedOffsets, error), topic string) (map[int32]int64, error) {
	all, err := list(ctx, topic)
	if err == nil {
		err = all.Error()
	}
	if err != nil {
		return nil, err
	}
	out := map[int32]int64{}
	all.Each(func(o kadm.ListedOffset) { out[o.Partition] = o.Offset })
	return out, nil
}
