package processor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// load is raw records of many revisions of a few keys: most with a row, some without, some that a step refuses.
func load(n int, partitions int32) []*kgo.Record {
	records := make([]*kgo.Record, n)
	for i := range records {
		id := rand.IntN(50)
		key := []byte(strconv.Itoa(id))
		value := []byte(fmt.Sprintf(`{"id":%d,"n":%d,"status":"ok"}`, id, i))
		switch i % 20 {
		case 3:
			value = []byte(fmt.Sprintf(`{"id":%d,"n":%d,"status":"draft"}`, id, i))
		case 7:
			value = nil
		case 11:
			value = []byte(fmt.Sprintf(`{"id":%d,"n":"%d"}`, id, i))
		}
		records[i] = &kgo.Record{Key: key, Value: value, Partition: topics.Partition(key, partitions)}
	}
	return records
}

// feed produces batches of raw records, slowly enough for many transactions.
func feed(t testing.TB, cl *kgo.Client, p *pipeline.Pipeline, batches, each int, partitions int32) {
	t.Helper()
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for range batches {
		produce(t, cl, p, load(each, partitions)...)
		<-pace.C
	}
}

// feedUntil has a processor of four partitions work on batches, and on more of them until something was tried: a busy
// machine has few transactions in its first ones. It returns how many records there are.
func feedUntil(t testing.TB, cl *kgo.Client, p *pipeline.Pipeline, tried func() bool) (n int) {
	t.Helper()
	const batches, each, rounds = 40, 50, 20
	for round := 0; round == 0 || round < rounds && !tried(); round++ {
		feed(t, cl, p, batches, each, 4)
		n += batches * each
		settled(t, cl, p)
	}
	return n
}

// ofTest reports whether a request is the test's own producing.
func ofTest(r kmsg.Request) bool {
	req, ok := r.(*kmsg.ProduceRequest)
	return ok && req.TransactionID == nil
}

// want is what a raw record of load becomes: its topic, and its value.
func want(p *pipeline.Pipeline, r *kgo.Record) (topic string, value []byte) {
	switch {
	case r.Value == nil, bytes.Contains(r.Value, []byte("draft")):
		return processed(p), nil
	case !bytes.Contains(r.Value, []byte("status")):
		return letters(p), r.Value
	}
	var id, n int
	if _, err := fmt.Sscanf(string(r.Value), `{"id":%d,"n":%d,`, &id, &n); err != nil {
		panic(err)
	}
	return processed(p), []byte(fmt.Sprintf(`{"id":%d,"n":%d}`, id, 2*n))
}

// position is the raw offset of which r is the outcome.
func position(t testing.TB, r *kgo.Record) int64 {
	t.Helper()
	if header, ok := topics.Header(r, topics.HeaderVersion); ok {
		v, err := topics.ParseVersion(header)
		if err != nil {
			t.Fatal(err)
		}
		return v.Offset()
	}
	id, _ := topics.Header(r, topics.HeaderID)
	offset, err := strconv.ParseInt(string(id[bytes.LastIndexByte(id, ':')+1:]), 10, 64)
	if err != nil {
		t.Fatalf("mr-id %q", id)
	}
	return offset
}

// compare checks that each raw record has exactly its outcome, and that outcomes are in the order of the raw
// partition.
func compare(t testing.TB, c servers, p *pipeline.Pipeline, n int) {
	t.Helper()
	source := testkit.Await(t, c.ListenAddrs(), n, raw(p))
	outcomes := testkit.Await(t, c.ListenAddrs(), n, processed(p), letters(p))
	type at struct {
		partition int32
		offset    int64
	}
	got := map[at]*kgo.Record{}
	last := map[string]int64{}
	for _, r := range outcomes {
		offset := position(t, r)
		if double := got[at{r.Partition, offset}]; double != nil {
			t.Fatalf("raw %d@%d has two outcomes: %s@%d and %s@%d", r.Partition, offset, double.Topic, double.Offset, r.Topic, r.Offset)
		}
		got[at{r.Partition, offset}] = r
		lane := fmt.Sprint(r.Topic, r.Partition)
		if before, ok := last[lane]; ok && before >= offset {
			t.Fatalf("%s[%d]: the outcome of %d comes after that of %d", r.Topic, r.Partition, offset, before)
		}
		last[lane] = offset
	}
	for _, r := range source {
		out := got[at{r.Partition, r.Offset}]
		if out == nil {
			t.Fatalf("raw %d@%d has no outcome", r.Partition, r.Offset)
		}
		topic, value := want(p, r)
		if out.Topic != topic || !bytes.Equal(out.Value, value) || !bytes.Equal(out.Key, r.Key) {
			t.Fatalf("raw %d@%d: %s became %s %s %s, want %s %s", r.Partition, r.Offset, r.Value, out.Topic, out.Key, out.Value, topic, value)
		}
	}
	if len(outcomes) != len(source) || len(source) != n {
		t.Fatalf("%d raw records, %d outcomes, want %d", len(source), len(outcomes), n)
	}
}

// settled waits until the group's committed offsets have reached the ends of the raw topic.
func settled(t testing.TB, cl *kgo.Client, p *pipeline.Pipeline) {
	t.Helper()
	adm := kadm.NewClient(cl)
	testkit.Eventually(t, 2*time.Minute, func() error {
		ends, err := adm.ListEndOffsets(t.Context(), raw(p))
		if err != nil {
			return err
		}
		committed, err := adm.FetchOffsets(kadm.RequireStable(t.Context()), topics.ProcessorGroup(p.Name))
		var missing int64
		ends.Each(func(o kadm.ListedOffset) {
			at, _ := committed.Lookup(o.Topic, o.Partition)
			missing += o.Offset - max(at.At, 0)
		})
		if err == nil && missing > 0 {
			err = fmt.Errorf("%d raw records are not processed", missing)
		}
		return err
	})
}

func TestExactlyOnceUnderFaults(t *testing.T) {
	keys := func(k ...kmsg.Key) map[int16]bool {
		m := map[int16]bool{}
		for _, key := range k {
			m[int16(key)] = true
		}
		return m
	}
	for name, fault := range map[string]struct {
		requests map[int16]bool
		every    int32
		inject   func(c *kfake.Cluster, r kmsg.Request) (kmsg.Response, error, bool)
	}{
		"connection cut": {keys(kmsg.Produce, kmsg.EndTxn, kmsg.TxnOffsetCommit, kmsg.Fetch, kmsg.Heartbeat), 9,
			func(*kfake.Cluster, kmsg.Request) (kmsg.Response, error, bool) { return nil, errors.New("cut"), true }},
		"offsets refused": {keys(kmsg.TxnOffsetCommit), 3,
			func(_ *kfake.Cluster, r kmsg.Request) (kmsg.Response, error, bool) {
				req := r.(*kmsg.TxnOffsetCommitRequest)
				resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
				for _, topic := range req.Topics {
					rt := kmsg.TxnOffsetCommitResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
					for _, partition := range topic.Partitions {
						rt.Partitions = append(rt.Partitions, kmsg.TxnOffsetCommitResponseTopicPartition{
							Partition: partition.Partition, ErrorCode: kerr.InvalidCommitOffsetSize.Code})
					}
					resp.Topics = append(resp.Topics, rt)
				}
				return resp, nil, true
			}},
		"end refused": {keys(kmsg.EndTxn), 4,
			func(_ *kfake.Cluster, r kmsg.Request) (kmsg.Response, error, bool) {
				resp := r.ResponseKind().(*kmsg.EndTxnResponse)
				resp.ErrorCode = kerr.UnknownServerError.Code
				return resp, nil, true
			}},
		"produce refused": {keys(kmsg.Produce), 7,
			func(_ *kfake.Cluster, r kmsg.Request) (kmsg.Response, error, bool) {
				req := r.(*kmsg.ProduceRequest)
				resp := req.ResponseKind().(*kmsg.ProduceResponse)
				for _, topic := range req.Topics {
					rt := kmsg.ProduceResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
					for _, partition := range topic.Partitions {
						rt.Partitions = append(rt.Partitions, kmsg.ProduceResponseTopicPartition{
							Partition: partition.Partition, ErrorCode: kerr.InvalidRecord.Code})
					}
					resp.Topics = append(resp.Topics, rt)
				}
				return resp, nil, true
			}},
	} {
		t.Run(name, func(t *testing.T) {
			p := shop(4)
			c, cl := cluster(t, p)
			stop := run(t, p, quick(), env(t, c, "a"))
			var seen, hit atomic.Int32
			c.Control(func(r kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				if !fault.requests[r.Key()] || ofTest(r) || seen.Add(1)%fault.every != 0 || hit.Load() >= 30 {
					return nil, nil, false
				}
				hit.Add(1)
				return fault.inject(c, r)
			})
			n := feedUntil(t, cl, p, func() bool { return hit.Load() > 0 })
			stop()
			compare(t, c, p, n)
			if hit.Load() == 0 {
				t.Error("no fault was injected")
			}
		})
	}
}

// TestCommitAnsweredWithError lets ends happen and answers them with an error, or not at all.
func TestCommitAnsweredWithError(t *testing.T) {
	for name, answer := range map[string]func(r kmsg.Request) (kmsg.Response, error){
		"unknown server error": func(r kmsg.Request) (kmsg.Response, error) {
			resp := r.ResponseKind().(*kmsg.EndTxnResponse)
			resp.ErrorCode = kerr.UnknownServerError.Code
			return resp, nil
		},
		"connection cut": func(kmsg.Request) (kmsg.Response, error) { return nil, errors.New("cut") },
	} {
		t.Run(name, func(t *testing.T) {
			p := shop(4)
			c, cl := cluster(t, p)
			through := testkafka.Client(t, c)
			var ends, hit atomic.Int32
			var passing atomic.Bool
			c.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				if passing.Load() || !r.(*kmsg.EndTxnRequest).Commit || ends.Add(1)%3 != 0 {
					return nil, nil, false
				}
				hit.Add(1)
				c.SleepControl(func() {
					passing.Store(true)
					defer passing.Store(false)
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					if _, err := r.(*kmsg.EndTxnRequest).RequestWith(ctx, through); err != nil {
						t.Errorf("pass the end on: %v", err)
					}
				})
				resp, err := answer(r)
				return resp, err, true
			})
			stop := run(t, p, quick(), env(t, c, "a"))
			n := feedUntil(t, cl, p, func() bool { return hit.Load() > 0 })
			stop()
			compare(t, c, p, n)
			if hit.Load() == 0 {
				t.Error("no end was answered with an error")
			}
		})
	}
}

// TestOffsetsThatAreAboutToChange: after an end that failed the brokers may say, for a moment, that they do not know
// the group's offsets yet. They are asked again, and the session goes on.
func TestOffsetsThatAreAboutToChange(t *testing.T) {
	p := shop(4)
	c, cl := cluster(t, p)
	var ends, unstable atomic.Int32
	var failed atomic.Bool
	c.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !r.(*kmsg.EndTxnRequest).Commit || ends.Add(1)%3 != 0 {
			return nil, nil, false
		}
		failed.Store(true)
		resp := r.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = kerr.UnknownServerError.Code
		return resp, nil, true
	})
	c.ControlKey(int16(kmsg.OffsetFetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := r.(*kmsg.OffsetFetchRequest)
		if !req.RequireStable || len(req.Groups) != 1 || !failed.Swap(false) {
			return nil, nil, false
		}
		unstable.Add(1)
		resp := r.ResponseKind().(*kmsg.OffsetFetchResponse)
		group := kmsg.NewOffsetFetchResponseGroup()
		group.Group = req.Groups[0].Group
		for _, asked := range req.Groups[0].Topics {
			topic := kmsg.NewOffsetFetchResponseGroupTopic()
			topic.Topic, topic.TopicID = asked.Topic, asked.TopicID
			for _, partition := range asked.Partitions {
				at := kmsg.NewOffsetFetchResponseGroupTopicPartition()
				at.Partition, at.Offset, at.ErrorCode = partition, -1, kerr.UnstableOffsetCommit.Code
				topic.Partitions = append(topic.Partitions, at)
			}
			group.Topics = append(group.Topics, topic)
		}
		if len(group.Topics) == 0 { // all that the group has
			group.Topics = append(group.Topics, kmsg.OffsetFetchResponseGroupTopic{Topic: raw(p), Partitions: []kmsg.OffsetFetchResponseGroupTopicPartition{
				{Partition: 0, Offset: -1, ErrorCode: kerr.UnstableOffsetCommit.Code}, {Partition: 1, Offset: -1, ErrorCode: kerr.UnstableOffsetCommit.Code},
				{Partition: 2, Offset: -1, ErrorCode: kerr.UnstableOffsetCommit.Code}, {Partition: 3, Offset: -1, ErrorCode: kerr.UnstableOffsetCommit.Code},
			}})
		}
		resp.Groups = append(resp.Groups, group)
		return resp, nil, true
	})
	env, log := told(t, c, "a")
	stop := run(t, p, quick(), env)
	n := feedUntil(t, cl, p, func() bool { return unstable.Load() > 0 })
	stop()
	compare(t, c, p, n)
	if unstable.Load() == 0 || strings.Contains(log.String(), "UNSTABLE_OFFSET_COMMIT") {
		t.Errorf("%d times not known; log:\n%s", unstable.Load(), log.String())
	}
}

// TestRebalanceUnderLoad adds and removes processors while records come.
func TestRebalanceUnderLoad(t *testing.T) {
	p := shop(6)
	c, cl := cluster(t, p)
	churn(t, c, cl, p, 150, 150*time.Millisecond)
}

// churn starts and stops processors, at that pace, while batches of 100 records come, and compares.
func churn(t *testing.T, c servers, cl *kgo.Client, p *pipeline.Pipeline, batches int, pace time.Duration) {
	t.Helper()
	const each = 100
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		feed(t, cl, p, batches, each, p.Kafka.Partitions)
	}()
	running := map[string]func(){"a": run(t, p, quick(), env(t, c, "a"))}
	change := time.NewTicker(pace)
	defer change.Stop()
	for busy := true; busy; {
		select {
		case <-fed:
			busy = false
		case <-change.C:
			name := string("bcd"[rand.IntN(3)])
			if stop := running[name]; stop != nil {
				delete(running, name)
				stop()
			} else {
				running[name] = run(t, p, quick(), env(t, c, name))
			}
		}
	}
	settled(t, cl, p)
	for _, stop := range running {
		stop()
	}
	compare(t, c, p, batches*each)
}
