package admin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

func shop(name string) *pipeline.Pipeline {
	return &pipeline.Pipeline{
		Name:    name,
		Streams: []pipeline.Stream{{Name: "orders"}, {Name: "customers"}},
		Kafka:   pipeline.Kafka{Partitions: 3, Replication: -1, Retention: time.Hour, MaxRecordBytes: 1 << 20},
	}
}

func TestEnsure(t *testing.T) {
	c := testkafka.New(t)
	ensureSuite(t, kadm.NewClient(testkafka.Client(t, c)), "shop")
}

// ensureSuite is what Ensure must do on any broker.
func ensureSuite(t *testing.T, adm *kadm.Client, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	specs := topics.Specs(shop(name))
	var together errgroup.Group
	for range 6 {
		together.Go(func() error { return admin.Ensure(ctx, adm, specs) })
	}
	if err := together.Wait(); err != nil {
		t.Fatalf("six at the same time: %v", err)
	}
	if err := admin.Ensure(ctx, adm, specs); err != nil {
		t.Fatalf("once more: %v", err)
	}

	made, err := adm.ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range specs {
		if got := len(made[s.Topic].Partitions); got != int(s.Partitions) {
			t.Errorf("%s has %d partitions, want %d", s.Topic, got, s.Partitions)
		}
	}

	t.Run("tunes", func(t *testing.T) { tunes(ctx, t, adm, name+"-old") })

	other := shop(name)
	other.Kafka.Partitions, other.Kafka.Retention, other.Kafka.Replication = 4, 2*time.Hour, 2
	other.Streams = other.Streams[:1]
	err = admin.Ensure(ctx, adm, topics.Specs(other))
	var mismatch *admin.MismatchError
	if !errors.As(err, &mismatch) {
		t.Fatalf("other settings: %v, want a MismatchError", err)
	}
	var got []string
	for _, m := range mismatch.Mismatches {
		got = append(got, m.Topic+" "+m.Setting+": "+m.Is+" not "+m.Want)
		if m.Hint == "" || !strings.Contains(err.Error(), m.Hint) {
			t.Errorf("%s %s: hint %q is not in the error", m.Topic, m.Setting, m.Hint)
		}
	}
	want := []string{
		name + ".orders.raw partitions: 3 not 4", name + ".orders.raw replication: 1 not 2",
		name + ".orders.processed partitions: 3 not 4", name + ".orders.processed replication: 1 not 2",
		name + ".orders.processed retention.ms: 3600000 not 7200000",
		name + ".orders.dlq partitions: 3 not 4", name + ".orders.dlq replication: 1 not 2",
		name + ".ingest.state replication: 1 not 2", name + ".control replication: 1 not 2",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// tunes checks that a topic made by an earlier release is given the settings that keep it small, unless an operator
// set some of them.
func tunes(ctx context.Context, t *testing.T, adm *kadm.Client, name string) {
	t.Helper()
	topic, own := topics.IngestState(name), "7777777"
	policy, size := "compact", "1048576"
	configs := map[string]*string{"cleanup.policy": &policy, "max.message.bytes": &size, "segment.ms": &own}
	if _, err := adm.CreateTopic(ctx, topics.StatePartitions, -1, configs, topic); err != nil {
		t.Fatal(err)
	}
	if err := admin.Ensure(ctx, adm, topics.Specs(shop(name))); err != nil {
		t.Fatal(err)
	}
	described, err := adm.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	is := map[string]string{}
	for _, c := range described[0].Configs {
		is[c.Key] = c.MaybeValue()
	}
	for _, s := range topics.Specs(shop(name)) {
		for setting, want := range s.Tuned {
			got, known := is[setting]
			if setting == "segment.ms" {
				want = own
			}
			if s.Topic == topic && known && got != want {
				t.Errorf("%s is %s, want %s", setting, got, want)
			}
		}
	}
	if is["segment.bytes"] != "16777216" || is["delete.retention.ms"] != "3600000" {
		t.Errorf("a topic with default settings was not altered: %v", is)
	}
}

// A topic that another program made as it pleased is not used.
func TestEnsureReportsForeignCleanupPolicy(t *testing.T) {
	c := testkafka.New(t)
	adm := kadm.NewClient(testkafka.Client(t, c))
	policy := "delete"
	if _, err := adm.CreateTopic(t.Context(), topics.StatePartitions, -1, map[string]*string{"cleanup.policy": &policy}, "shop.ingest.state"); err != nil {
		t.Fatal(err)
	}
	err := admin.Ensure(t.Context(), adm, topics.Specs(shop("shop")))
	var mismatch *admin.MismatchError
	if !errors.As(err, &mismatch) {
		t.Fatalf("%v, want a MismatchError", err)
	}
	if m := mismatch.Mismatches[0]; m.Topic != "shop.ingest.state" || m.Setting != "cleanup.policy" || m.Is != "delete" || m.Want != "compact" ||
		!strings.Contains(m.Hint, "--add-config cleanup.policy=compact") {
		t.Errorf("mismatch %+v", m)
	}
}

func TestEnsureSaysWhyATopicCannotBeMade(t *testing.T) {
	c := testkafka.New(t)
	adm := kadm.NewClient(testkafka.Client(t, c))
	p := shop("shop")
	p.Kafka.Replication = 3
	err := admin.Ensure(t.Context(), adm, topics.Specs(p))
	if !errors.Is(err, kerr.InvalidReplicationFactor) || !strings.Contains(err.Error(), "kafka.replication is 3") {
		t.Errorf("one broker, replication 3: %v", err)
	}
	if err := admin.Ensure(t.Context(), adm, topics.Specs(shop("a_b"))); err != nil {
		t.Fatal(err)
	}
	err = admin.Ensure(t.Context(), adm, []topics.Spec{{Topic: "a.b.orders.raw", Partitions: 1, Replication: -1}})
	if !errors.Is(err, kerr.InvalidTopicException) || !strings.Contains(err.Error(), "Rename the stream") {
		t.Errorf("a name that collides: %v", err)
	}
}

func TestEnsureEndsWithItsContext(t *testing.T) {
	c := testkafka.New(t)
	adm := kadm.NewClient(testkafka.Client(t, c))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := admin.Ensure(ctx, adm, topics.Specs(shop("shop"))); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestManyTopicsAreMadeInSeveralRequests: brokers refuse one for more than 10,000 partitions.
func TestManyTopicsAreMadeInSeveralRequests(t *testing.T) {
	c := testkafka.New(t)
	var requests [][]string
	c.ControlKey(int16(kmsg.CreateTopics), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		var names []string
		partitions := 0
		for _, made := range r.(*kmsg.CreateTopicsRequest).Topics {
			names = append(names, made.Topic)
			partitions += int(made.NumPartitions)
		}
		if partitions > 2000 && len(names) > 1 {
			t.Errorf("a request for %d partitions: %v", partitions, names)
		}
		requests = append(requests, names)
		return nil, nil, false
	})
	p := shop("shop")
	p.Kafka.Partitions = 500
	p.Streams = nil
	for i := range 6 {
		p.Streams = append(p.Streams, pipeline.Stream{Name: fmt.Sprintf("s%d", i)})
	}
	if err := admin.Ensure(t.Context(), kadm.NewClient(testkafka.Client(t, c)), topics.Specs(p)); err != nil {
		t.Fatal(err)
	}
	if len(requests) < 5 {
		t.Errorf("%d requests for 9,000 partitions: %v", len(requests), requests)
	}
}
