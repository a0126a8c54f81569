//go:build integration

package processor_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// onKafka is a pipeline of that name with its topics on real Kafka. Whatever an earlier run left is removed.
func onKafka(t *testing.T, name string, partitions int32) (*pipeline.Pipeline, brokers, *kgo.Client) {
	t.Helper()
	p := shop(partitions)
	p.Name = name
	addrs := brokers(testservers.Kafka(t))
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.UnknownTopicRetries(-1), kgo.RecordDeliveryTimeout(2*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	adm := kadm.NewClient(cl)
	clean := func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, _ = adm.DeleteGroups(ctx, topics.ProcessorGroup(name))
		var all []string
		for _, s := range topics.Specs(p) {
			all = append(all, s.Topic)
		}
		_, _ = adm.DeleteTopics(ctx, all...)
	}
	clean()
	t.Cleanup(func() { clean(); cl.Close() })
	testkit.Eventually(t, 2*time.Minute, testkit.That("topics", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err = admin.Ensure(ctx, adm, topics.Specs(p))
		return err == nil
	}))
	return p, addrs, cl
}

func TestRealRebalanceUnderLoad(t *testing.T) {
	p, c, cl := onKafka(t, "processor-churn", 6)
	churn(t, c, cl, p, 500, 700*time.Millisecond)
}

// TestRealKilled cuts a processor off in the middle of its transactions, again and again; it is started again, or
// others take over.
func TestRealKilled(t *testing.T) {
	p, c, cl := onKafka(t, "processor-killed", 6)
	const batches, each = 600, 100
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		feed(t, cl, p, batches, each, 6)
	}()
	run(t, p, quick(), env(t, c, "b"))
	open, n := 0, batches*each // how often something was in hand
	life := 1500 * time.Millisecond
	kill := func(fed <-chan struct{}) {
		for busy := true; busy; {
			var wire network
			e := env(t, c, "a")
			e.Kafka = append(e.Kafka, kgo.Dialer(wire.dial))
			cut := runUntilCut(t, p, quick(), e, &wire)
			select {
			case <-fed:
				busy = false
			case <-time.After(life):
			}
			if cut() != nil {
				open++
			}
		}
	}
	kill(fed)
	for round := 0; open == 0 && round < 10; round++ { // a busy machine needs longer lives to have something in hand
		life *= 2
		more := make(chan struct{})
		go func() {
			defer close(more)
			feed(t, cl, p, batches, each, 6)
		}()
		kill(more)
		n += batches * each
	}
	if open == 0 {
		t.Error("no cut met a processor at work")
	}
	settled(t, cl, p)
	compare(t, c, p, n)
}

// TestRealTakeOver cuts a processor off for good; another has its partitions soon, whatever it was about to do.
func TestRealTakeOver(t *testing.T) {
	for round := range 3 {
		p, c, cl := onKafka(t, fmt.Sprintf("processor-heir-%d", round), 4)
		var wire network
		e := env(t, c, "a")
		e.Kafka = append(e.Kafka, kgo.Dialer(wire.dial))
		cut := runUntilCut(t, p, quick(), e, &wire)
		feed(t, cl, p, 100, 20, 4)
		stop := run(t, p, quick(), env(t, c, "b"))
		feed(t, cl, p, 20*round, 20, 4) // while b joins, has joined, or is at work
		_ = cut()
		start := time.Now()
		feed(t, cl, p, 20, 20, 4)
		settled(t, cl, p)
		t.Logf("took over after %s", time.Since(start))
		stop()
		compare(t, c, p, (120+20*round)*20)
	}
}

// TestRealTopicRecreated: Kafka answers with ids, and forgets the group's offsets of a topic that is deleted.
func TestRealTopicRecreated(t *testing.T) {
	for i, topic := range []func(*pipeline.Pipeline) string{raw, processed, raw} {
		p, c, cl := onKafka(t, fmt.Sprintf("processor-again-%d", i), 4)
		testRemade(t, c, cl, p, topic(p), i < 2)
	}
}
