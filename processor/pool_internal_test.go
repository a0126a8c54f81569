package processor

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestPartitionsOfSeveralPolls: records of a partition that several polls brought are one after the other, on one
// goroutine.
func TestPartitionsOfSeveralPolls(t *testing.T) {
	fetch := func(topic string, partition int32, offsets ...int64) kgo.Fetch {
		p := kgo.FetchPartition{Partition: partition}
		for _, o := range offsets {
			p.Records = append(p.Records, &kgo.Record{Offset: o})
		}
		return kgo.Fetch{Topics: []kgo.FetchTopic{{Topic: topic, Partitions: []kgo.FetchPartition{p}}}}
	}
	polls := kgo.Fetches{
		fetch("a", 0, 1, 2), fetch("a", 1, 1), fetch("b", 0, 7), fetch("c", 0), fetch("a", 0, 3), fetch("b", 0, 8, 9), fetch("a", 0, 4),
	}
	var got []string
	for _, p := range byPartition(polls) {
		line := fmt.Sprintf("%s[%d]", p.Topic, p.Partition)
		for _, r := range p.Records {
			line += fmt.Sprint(" ", r.Offset)
		}
		got = append(got, line)
	}
	if d := cmp.Diff([]string{"a[0] 1 2 3 4", "a[1] 1", "b[0] 7 8 9"}, got); d != "" {
		t.Error(d)
	}
}
