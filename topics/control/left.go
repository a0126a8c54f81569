package control

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics/admin"
)

// Next are, by raw topic and partition, the offsets at which a group of processors goes on, or [AtStart]: what the
// group has committed counts only as far as [Stream.GoOn] says, with what is decided about the stream of each raw
// topic. Transactions that are about to commit are not waited for. The error is the brokers', ctx's, or one of GoOn. cl
// may be any client.
func Next(ctx context.Context, cl *kgo.Client, group string, decided map[string]*Stream) (map[string]map[int32]int64, error) {
	return next(ctx, cl, group, decided, func(_ int64, err error) (int64, error) { return 0, err })
}

// Lag is how many raw records a group of processors has still to do, counted as [admin.Remaining] does, from the
// offsets that [Next] has. A position that does not count, because another program wrote it, or for which decided is
// too old, is taken as it is.
func Lag(ctx context.Context, cl *kgo.Client, group string, decided map[string]*Stream) (int64, error) {
	from, err := next(ctx, cl, group, decided, func(committed int64, _ error) (int64, error) { return committed, nil })
	if err != nil {
		return 0, err
	}
	return admin.Remaining(ctx, cl, from)
}

// next is Next; doubtful says what a committed offset is for which GoOn has an error.
func next(
	ctx context.Context, cl *kgo.Client, group string, decided map[string]*Stream, doubtful func(committed int64, err error) (int64, error),
) (map[string]map[int32]int64, error) {
	names := make([]string, 0, len(decided))
	for topic := range decided {
		names = append(names, topic)
	}
	if len(names) == 0 { // no name would mean every topic
		return map[string]map[int32]int64{}, nil
	}
	adm := kadm.NewClient(cl)
	details, err := admin.Topics(ctx, adm, names...)
	if err != nil {
		return nil, err
	}
	committed, err := adm.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // it has committed nothing
		return nil, fmt.Errorf("offsets of group %s: %w", group, err)
	}
	out := make(map[string]map[int32]int64, len(decided))
	for topic, s := range decided {
		d := details[topic]
		out[topic] = make(map[int32]int64, len(d.Partitions))
		for partition := range d.Partitions {
			o, ok := committed.Lookup(topic, partition)
			ok = ok && o.Err == nil && o.At >= 0
			at, err := s.GoOn(hex.EncodeToString(d.ID[:]), partition, o.At, o.Metadata, ok)
			if err != nil {
				at, err = doubtful(o.At, err)
			}
			if err != nil {
				return nil, fmt.Errorf("%s[%d]: %w", topic, partition, err)
			}
			out[topic][partition] = at
		}
	}
	return out, nil
}
