package grow

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/pipeline"
)

// TestLargestBatch: what somebody set stays; what was set for the records that say where they were is taken back.
func TestLargestBatch(t *testing.T) {
	g, _ := copied(t)
	s := &g.Pipeline.Streams[0]
	set := func(name, value string) {
		t.Helper()
		done, err := g.adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, "p.a.raw")
		if err != nil || done[0].Err != nil {
			t.Fatal(err, done)
		}
	}
	for _, c := range []struct{ before, during, after string }{
		{"1048576", "1048832", "1048576"}, {"5000000", "5000000", "5000000"},
	} {
		set(maxMessageBytes, c.before)
		for _, step := range []struct {
			do   func(context.Context, *pipeline.Stream) error
			want string
		}{{g.room, c.during}, {g.roomNoMore, c.after}} {
			err := step.do(t.Context(), s)
			is, described := settings(t.Context(), g.adm, "p.a.raw")
			if err != nil || described != nil || is[maxMessageBytes] != step.want {
				t.Errorf("from %s: %s, %v, %v, want %s", c.before, is[maxMessageBytes], err, described, step.want)
			}
		}
	}
	set(timestampType, "LogAppendTime")
	fails(t, keepsTime(t.Context(), g.adm, "a", "p.a.raw"), "set it to CreateTime first")
}

// TestInSync: a partition of which a replica is behind is waited for.
func TestInSync(t *testing.T) {
	d := kadm.TopicDetail{Partitions: kadm.PartitionDetails{
		0: {Partition: 0, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2, 3}}, 1: {Partition: 1, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2, 3}},
	}}
	if err := inSync(d, 2); err != nil {
		t.Error(err)
	}
	fails(t, inSync(d, 3), "the brokers know 2 of its 3 partitions")
	d.Partitions[1] = kadm.PartitionDetail{Partition: 1, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 3}}
	fails(t, inSync(d, 2), "partition 1 has 2 of 3 replicas in sync")
}
