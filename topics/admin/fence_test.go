package admin_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/topics/admin"
)

// fenceSuite: an open transaction is aborted and cannot commit, the offsets are waited for, and other ids are spared.
func fenceSuite(t *testing.T, brokers []string, in, out string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cl := newClient(t, brokers)
	adm := kadm.NewClient(cl)
	for _, r := range mustCreate(t, adm, in, out) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	first := &kgo.Record{Topic: in, Value: []byte("a")}
	if err := cl.ProduceSync(ctx, first).FirstErr(); err != nil {
		t.Fatal(err)
	}
	prefix, group := in+".processor.", in+".group"
	open := func(id string) *kgo.GroupTransactSession {
		s, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(brokers...), kgo.TransactionalID(id), kgo.ConsumerGroup(group),
			kgo.ConsumeTopics(in), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.UnknownTopicRetries(-1), kgo.TransactionTimeout(5*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s
	}
	session := open(prefix + "a.0")
	if err := session.Begin(); err != nil {
		t.Fatal(err)
	}
	for polled := 0; polled == 0; polled = session.PollFetches(ctx).NumRecords() {
		if ctx.Err() != nil {
			t.Fatal("the record did not come")
		}
	}
	if err := session.ProduceSync(ctx, &kgo.Record{Topic: out, Value: []byte("of the old logic")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	idle := open(prefix + "b.0") // is initialised and has nothing to do
	if _, _, err := idle.Client().ProducerID(ctx); err != nil {
		t.Fatal(err)
	}
	other := open(in + ".other")
	if err := other.Begin(); err != nil {
		t.Fatal(err)
	}
	if err := other.ProduceSync(ctx, &kgo.Record{Topic: out, Value: []byte("of another program")}).FirstErr(); err != nil {
		t.Fatal(err)
	}

	ids, err := admin.Fence(ctx, cl, prefix)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ids)
	if want := []string{prefix + "a.0", prefix + "b.0"}; !slices.Equal(ids, want) {
		t.Errorf("fenced %q, want %q", ids, want)
	}
	cut, err := admin.Cut(ctx, cl, group, in)
	if err != nil || len(cut) > 0 {
		t.Errorf("cut %v, %v, want none", cut, err)
	}
	if committed, err := session.End(ctx, kgo.TryCommit); committed || err == nil {
		t.Errorf("the fenced transaction committed: %t, %v", committed, err)
	}
	if committed, err := other.End(ctx, kgo.TryCommit); !committed || err != nil {
		t.Errorf("the transaction of another id: %t, %v", committed, err)
	}
	var got []string
	if err := admin.Read(ctx, []kgo.Opt{kgo.SeedBrokers(brokers...)}, out, func(r *kgo.Record) { got = append(got, string(r.Value)) }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, []string{"of another program"}) {
		t.Errorf("the topic has %q", got)
	}
}

func TestFence(t *testing.T) {
	c := testkafka.New(t)
	fenceSuite(t, c.ListenAddrs(), "in", "out")
}

// abandonedSuite: what was left open by an id that is named is aborted, so that its partition can be read to the end.
// Another id is spared.
func abandonedSuite(t *testing.T, brokers []string, topic string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cl := newClient(t, brokers)
	for _, r := range mustCreate(t, kadm.NewClient(cl), topic) { // with two partitions
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	open := func(id string, partition int32, value string) *kgo.Client {
		x, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.TransactionalID(topic+id), kgo.TransactionTimeout(10*time.Minute),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(-1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(x.Close)
		if err := x.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := x.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: partition, Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		return x
	}
	died, other := open(".0", 0, "of one that died"), open(".other", 1, "of another")
	read := func(partition int32) (got []string) {
		if err := admin.ReadRanges(ctx, []kgo.Opt{kgo.SeedBrokers(brokers...)}, topic, map[int32]admin.Range{partition: {From: 0, To: 1}},
			func(r *kgo.Record) { got = append(got, string(r.Value)) }); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if err := admin.AbortAbandoned(ctx, cl, topic, map[int32]string{0: topic + ".0"}); err != nil {
		t.Fatal(err)
	}
	if got := read(0); len(got) > 0 {
		t.Errorf("committed: %q", got)
	}
	if err := died.EndTransaction(ctx, kgo.TryCommit); err == nil {
		t.Error("an aborted transaction was committed")
	}
	if err := other.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Errorf("another transaction: %v", err)
	}
	if got := read(1); !slices.Equal(got, []string{"of another"}) {
		t.Errorf("committed: %q", got)
	}
	if err := admin.AbortAbandoned(ctx, cl, topic, map[int32]string{0: topic + ".0", 1: topic + ".other"}); err != nil {
		t.Fatal(err) // nothing is open
	}
}

func TestAbortAbandoned(t *testing.T) { abandonedSuite(t, testkafka.New(t).ListenAddrs(), "decisions") }

// TestCutWaits for a transaction that would move the offsets.
func TestCutWaits(t *testing.T) {
	c := testkafka.New(t)
	testkafka.Topics(t, c, 1, "in")
	cl := newClient(t, c.ListenAddrs())
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "in", Value: []byte("a")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("x"), kgo.ConsumerGroup("g"),
		kgo.ConsumeTopics("in"), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	if err := session.Begin(); err != nil {
		t.Fatal(err)
	}
	for session.PollFetches(t.Context()).NumRecords() == 0 {
		if t.Context().Err() != nil {
			t.Fatal("the record did not come")
		}
	}
	if cut, err := admin.Cut(t.Context(), cl, "none", "in"); err != nil || len(cut) > 0 {
		t.Errorf("cut %v, %v of a group that is not there", cut, err)
	}
	ending, held := make(chan struct{}), make(chan struct{})
	// the offsets are in the transaction, which is open
	c.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.DropControl()
		c.SleepControl(func() { close(ending); <-held })
		return nil, nil, false
	})
	ended := make(chan error, 1)
	go func() {
		_, err := session.End(t.Context(), kgo.TryCommit)
		ended <- err
	}()
	<-ending
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if cut, err := admin.Cut(short, cl, "g", "in"); err == nil {
		t.Errorf("cut %v while a transaction was open that moves it", cut)
	}
	close(held)
	cut, err := admin.Cut(t.Context(), cl, "g", "in")
	if err != nil || cut[0].At != 1 {
		t.Errorf("cut %v, %v, want 1", cut, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func mustCreate(t *testing.T, adm *kadm.Client, names ...string) kadm.CreateTopicResponses {
	t.Helper()
	made, err := adm.CreateTopics(t.Context(), 2, -1, nil, names...)
	if err != nil {
		t.Fatal(err)
	}
	return made
}
