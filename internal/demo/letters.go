package demo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics"
)

// Letter is a dead letter, as the report shows it.
type Letter struct {
	Stage  string // that refused the record
	Key    string // of the record
	Step   string
	Reason string
}

// Letters reads all dead letters that topic has at the moment, each once, by stage and key.
func Letters(ctx context.Context, opts []kgo.Opt, topic string) ([]Letter, error) {
	cl, err := kgo.NewClient(append(slices.Clip(opts),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	left := map[int32]int64{} // partition → its end
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
			cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {o.Partition: kgo.NewOffset().AtStart()}})
		}
	})
	letters, err := readTo(ctx, cl, left)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	slices.SortFunc(letters, func(a, b Letter) int {
		return cmp.Or(strings.Compare(a.Stage, b.Stage), strings.Compare(a.Key, b.Key))
	})
	return letters, nil
}

// readTo reads letters up to the ends in left, by partition.
func readTo(ctx context.Context, cl *kgo.Client, left map[int32]int64) (letters []Letter, err error) {
	seen := map[string]bool{}
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			// What ends a transaction is an offset too; it is polled for nothing else.
			if r.Offset >= left[r.Partition]-1 {
				delete(left, r.Partition)
			}
			id, _ := topics.Header(r, topics.HeaderID)
			if !r.Attrs.IsControl() && !seen[string(id)] {
				seen[string(id)] = true
				letters = append(letters, letter(r, string(id)))
			}
		})
	}
	return letters, nil
}

func letter(r *kgo.Record, id string) Letter {
	stage, _, _ := strings.Cut(id, ":")
	step, _ := topics.Header(r, topics.HeaderStep)
	reason, _ := topics.Header(r, topics.HeaderReason)
	return Letter{Stage: stage, Key: string(r.Key), Step: string(step), Reason: string(reason)}
}
