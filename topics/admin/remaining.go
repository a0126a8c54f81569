package admin

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// ExactRecords is how far behind a partition may be, in offsets, for [Remaining] to count its records.
	ExactRecords = 500

	fetchBytes = 128 << 10 // of one partition in one answer; a broker sends one batch even if it is larger
)

// Remaining is how many data records a read_committed reader would still get: from the next offsets given, by
// topic and partition, to the end of each of these partitions. A next offset below the start of the log, such as
// -1 for "nothing committed", counts from there.
//
// The difference of offsets is not that number, as commit markers and aborted records take offsets too. So a
// partition that is at most [ExactRecords] offsets behind is read and counted. One further behind is read only
// until a record is found, and the difference of offsets stands for the rest: an estimate from above. What is behind
// the first open transaction counts by its offsets too: it may commit, and perhaps its producer has been told so
// already, since brokers write the markers after they have answered. So the sum is 0 exactly if nothing is left to
// read and no transaction is open.
//
// cl may be any client: requests are issued by hand, so neither its group nor what it consumes is touched, and
// Remaining may be called while it is polled. The error is what a broker answered, or that a next offset is
// beyond the end of its partition, as after the topic was recreated.
func Remaining(ctx context.Context, cl *kgo.Client, from map[string]map[int32]int64) (records int64, err error) {
	tails, unstable, err := findTails(ctx, cl, from)
	if err != nil {
		return 0, err
	}
	for open := tails; len(open) > 0; {
		byLeader := map[int32][]*tail{}
		for _, t := range open {
			byLeader[t.leader] = append(byLeader[t.leader], t)
		}
		for _, leader := range slices.Sorted(maps.Keys(byLeader)) {
			if err := readOn(ctx, cl, leader, byLeader[leader]); err != nil {
				return 0, err
			}
		}
		open = slices.DeleteFunc(slices.Clone(open), (*tail).done)
	}
	records = unstable
	for _, t := range tails {
		records += t.records + max(t.end-t.next, 0)
	}
	return records, nil
}

// tail is what a partition has beyond a next offset.
type tail struct {
	topic     string
	id        kadm.TopicID
	partition int32
	leader    int32
	next, end int64 // still to be read
	exact     bool  // read to the end
	records   int64 // found so far
}

func (t *tail) done() bool { return t.next >= t.end || t.records > 0 && !t.exact }

// findTails lists the partitions that have something beyond their next offset, at least a marker, before the first
// open transaction. unstable is the number of offsets from there on.
func findTails(ctx context.Context, cl *kgo.Client, from map[string]map[int32]int64) (tails []*tail, unstable int64, err error) {
	topics := slices.Sorted(maps.Keys(from))
	if len(topics) == 0 {
		return nil, 0, nil // no name would mean every topic
	}
	adm := kadm.NewClient(cl)
	details, err := adm.ListTopics(ctx, topics...)
	if err != nil {
		return nil, 0, fmt.Errorf("list topics: %w", err)
	}
	var offsets [3]kadm.ListedOffsets // as bounds has them
	for i, list := range []func(context.Context, ...string) (kadm.ListedOffsets, error){
		adm.ListStartOffsets, adm.ListCommittedOffsets, adm.ListEndOffsets,
	} {
		if offsets[i], err = list(ctx, topics...); err != nil {
			return nil, 0, fmt.Errorf("list offsets: %w", err)
		}
	}
	for _, topic := range topics {
		if err := details[topic].Err; err != nil {
			return nil, 0, fmt.Errorf("topic %s: %w", topic, err)
		}
		for _, partition := range slices.Sorted(maps.Keys(from[topic])) {
			start, stable, end, err := bounds(offsets, topic, partition)
			if err != nil {
				return nil, 0, err
			}
			next := max(from[topic][partition], start)
			if next > max(stable, end) {
				return nil, 0, fmt.Errorf("%s[%d]: next offset %d is beyond the end, %d: was the topic recreated?", topic, partition, next, end)
			}
			unstable += max(end-max(stable, next), 0)
			if next < stable {
				tails = append(tails, &tail{
					topic: topic, id: details[topic].ID, partition: partition, leader: details[topic].Partitions[partition].Leader,
					next: next, end: stable, exact: stable-next <= ExactRecords,
				})
			}
		}
	}
	return tails, unstable, nil
}

// bounds are the start of a partition, its last stable offset, and its end.
func bounds(offsets [3]kadm.ListedOffsets, topic string, partition int32) (start, stable, end int64, err error) {
	var at [3]int64
	for i := range offsets {
		o, ok := offsets[i].Lookup(topic, partition)
		if !ok {
			o.Err = kerr.UnknownTopicOrPartition
		}
		if o.Err != nil {
			return 0, 0, 0, fmt.Errorf("%s[%d]: %w", topic, partition, o.Err)
		}
		at[i] = o.Offset
	}
	return at[0], at[1], at[2], nil
}

// readOn fetches once from a broker and moves the tails that it leads. Nothing is waited for: up to end all is there.
func readOn(ctx context.Context, cl *kgo.Client, leader int32, tails []*tail) error {
	answer, err := cl.Broker(int(leader)).RetriableRequest(ctx, fetchOf(tails))
	if err != nil {
		return fmt.Errorf("fetch from broker %d: %w", leader, err)
	}
	resp := answer.(*kmsg.FetchResponse) //nolint:forcetypeassert // kgo answers a request with its response
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return fmt.Errorf("fetch from broker %d: %w", leader, err)
	}
	moved, err := countAll(resp, tails)
	if err != nil {
		return err
	}
	if !moved { // else this would be asked for ever
		return fmt.Errorf("fetch from broker %d: no record of %s[%d] from %d, though its end is %d",
			leader, tails[0].topic, tails[0].partition, tails[0].next, tails[0].end)
	}
	return nil
}

// fetchOf asks for the records of tails, as far as they are committed.
func fetchOf(tails []*tail) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 0, 1, 8<<20
	req.IsolationLevel = 1 // read_committed
	req.SessionEpoch = -1  // no session
	for _, t := range tails {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = t.partition, t.next, fetchBytes
		if n := len(req.Topics); n > 0 && req.Topics[n-1].Topic == t.topic {
			req.Topics[n-1].Partitions = append(req.Topics[n-1].Partitions, p)
			continue
		}
		topic := kmsg.NewFetchRequestTopic()
		topic.Topic, topic.TopicID = t.topic, t.id // one or the other goes over the wire, by version
		topic.Partitions = append(topic.Partitions, p)
		req.Topics = append(req.Topics, topic)
	}
	return req
}

// countAll adds what an answer has of tails, and reports whether any has moved.
func countAll(resp *kmsg.FetchResponse, tails []*tail) (moved bool, err error) {
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			rt, rp := &resp.Topics[i], &resp.Topics[i].Partitions[j]
			for _, t := range tails {
				if t.partition == rp.Partition && (t.topic == rt.Topic || rt.Topic == "" && t.id == kadm.TopicID(rt.TopicID)) {
					m, err := t.count(rp)
					if err != nil {
						return false, err
					}
					moved = moved || m
				}
			}
		}
	}
	return moved, nil
}

// count adds the data records of an answer and moves next beyond them.
func (t *tail) count(rp *kmsg.FetchResponseTopicPartition) (moved bool, err error) {
	if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
		return false, fmt.Errorf("%s[%d]: fetch from %d: %w", t.topic, t.partition, t.next, err)
	}
	fetched, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: t.next, IsolationLevel: kgo.ReadCommitted(), Topic: t.topic, Partition: t.partition,
	}, rp, kgo.DefaultDecompressor(), nil)
	if fetched.Err != nil {
		return false, fmt.Errorf("%s[%d]: fetch from %d: %w", t.topic, t.partition, t.next, fetched.Err)
	}
	for _, r := range fetched.Records {
		if r.Offset < t.end {
			t.records++
		}
	}
	moved = next > t.next
	t.next = next
	return moved, nil
}
