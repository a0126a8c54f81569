package processor_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// manual is a client that knows the topics as they are now.
func manual(t testing.TB, c *kfake.Cluster) *kgo.Client {
	t.Helper()
	return testkafka.Client(t, c, kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

// group is what the group has committed of the raw topic.
func group(t testing.TB, cl *kgo.Client, p *pipeline.Pipeline) kadm.OffsetResponses {
	t.Helper()
	got, err := kadm.NewClient(cl).FetchOffsets(t.Context(), topics.ProcessorGroup(p.Name))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// write has another program write the group's offsets.
func write(t testing.TB, cl *kgo.Client, p *pipeline.Pipeline, offsets kadm.Offsets) {
	t.Helper()
	if err := kadm.NewClient(cl).CommitAllOffsets(t.Context(), topics.ProcessorGroup(p.Name), offsets); err != nil {
		t.Fatal(err)
	}
}

// TestRawTopicRecreated while nothing runs: all that is in it is of a higher epoch, so it wins against what was there
// before. Offsets that the old one left, which the brokers keep by name, do not count.
func TestRawTopicRecreated(t *testing.T) {
	for _, stale := range []bool{false, true} {
		p := shop(2)
		c, cl := cluster(t, p)
		stop := run(t, p, quick(), env(t, c, "a"))
		produce(t, cl, p, rows(40)...)
		settled(t, cl, p)
		stop()
		before := group(t, cl, p)
		remake(t, kadm.NewClient(cl), p, true, raw(p))
		if stale { // a commit of the moment in which the topic was recreated
			write(t, cl, p, before.Offsets())
		} else if _, err := kadm.NewClient(cl).DeleteGroup(t.Context(), topics.ProcessorGroup(p.Name)); err != nil {
			t.Fatal(err)
		}
		fresh := manual(t, c)
		produce(t, fresh, p, rows(60)...)
		e, log := told(t, c, "a")
		stop = run(t, p, quick(), e)
		testkit.Await(t, c.ListenAddrs(), 100, processed(p))
		settled(t, fresh, p)
		stop()
		if d := cmp.Diff(map[[2]uint16]int{{0, 1}: 40, {1, 1}: 60}, versions(t, c, p)); d != "" {
			t.Errorf("stale %t: records by epoch and generation: %s", stale, d)
		}
		for _, want := range []string{"the raw topic is not the one of before", "epoch=1", `next="millrace reset FILE s --sweep"`} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("the log lacks %q:\n%s", want, log.String())
			}
		}
	}
}

// TestUpgrade: offsets of a version that committed no metadata are accepted, once, without a word.
func TestUpgrade(t *testing.T) {
	p := shop(2)
	c, cl := cluster(t, p)
	produce(t, cl, p, rows(40)...)
	ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), raw(p))
	if err != nil {
		t.Fatal(err)
	}
	write(t, cl, p, ends.Offsets()) // that version has processed them
	produce(t, cl, p, rows(20)...)
	e, log := told(t, c, "a")
	stop := run(t, p, quick(), e)
	settled(t, cl, p)
	testkit.Await(t, c.ListenAddrs(), 20, processed(p))
	stop()
	if n := len(testkit.Records(t, c.ListenAddrs(), processed(p))); n != 20 {
		t.Errorf("%d records were processed, want 20", n)
	}
	if strings.Contains(log.String(), "WARN") {
		t.Errorf("warned:\n%s", log.String())
	}
	s := decided(t, c)
	if s.Live != 1 || s.Run.Number != 1 || len(s.Run.From) != 2 || s.Lost != nil {
		t.Errorf("decided: %+v", s)
	}
	stop = run(t, p, quick(), env(t, c, "a"))
	produce(t, cl, p, rows(20)...)
	settled(t, cl, p)
	stop()
	if n := len(testkit.Records(t, c.ListenAddrs(), processed(p))); n != 40 {
		t.Errorf("%d records were processed, want 40", n)
	}
}

// TestControlTopicLost beside a running processor: numbers go on above those that the committed offsets show, and so do
// the positions.
func TestControlTopicLost(t *testing.T) {
	p := other(2)
	c, cl := cluster(t, p)
	stop := run(t, shop(2), quick(), env(t, c, "a"))
	produce(t, cl, p, rows(20)...)
	settled(t, cl, p)
	stop()
	stop = run(t, p, quick(), env(t, c, "a"))
	produce(t, cl, p, rows(20)...)
	settled(t, cl, p)
	remake(t, kadm.NewClient(cl), p, false, topics.Control(p.Name))
	testkit.Eventually(t, 2*time.Minute, testkit.That("it is made again", func() bool {
		details, err := kadm.NewClient(cl).ListTopics(kadm.WithAuthorizedOps(t.Context()), topics.Control(p.Name))
		return err == nil && details[topics.Control(p.Name)].Err == nil
	}))
	testkit.Eventually(t, 2*time.Minute, testkit.That("the stream is known again", func() bool { return decided(t, c).Live == 3 }))
	produce(t, cl, p, rows(20)...)
	settled(t, cl, p)
	stop()
	if d := cmp.Diff(map[[2]uint16]int{{0, 1}: 20, {0, 2}: 20, {0, 3}: 20}, versions(t, c, p)); d != "" {
		t.Errorf("records by epoch and generation: %s", d)
	}
	if s := decided(t, c); len(s.Epochs) != 1 || s.Epochs[0].Number != 0 || s.Lost != nil {
		t.Errorf("decided: %+v", s)
	}
}

// TestAChangeOfLogicFencesWhatIsOpen: a transaction of the old logic that is about to commit when the new one is
// decided cannot commit any more.
func TestAChangeOfLogicFencesWhatIsOpen(t *testing.T) {
	p := shop(2)
	c, cl := cluster(t, p)
	old, oldLog := told(t, c, "old")
	cfg := quick()
	cfg.Sessions = 1
	run(t, p, cfg, old)
	produce(t, cl, p, rows(20)...)
	settled(t, cl, p)
	ending, held := make(chan struct{}), make(chan struct{})
	begun := sync.OnceFunc(func() { close(ending) })
	c.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if req := r.(*kmsg.EndTxnRequest); !req.Commit || !strings.HasPrefix(req.TransactionalID, "p.processor.old") {
			return nil, nil, false
		}
		c.SleepControl(func() { begun(); <-held })
		return nil, nil, false
	})
	produce(t, cl, p, rows(20)...)
	<-ending
	s, err := processor.Register(t.Context(), decisions(c), cl, other(2), &other(2).Streams[0])
	if err != nil || s.Live != 2 {
		t.Fatalf("generation %d, %v", s.Live, err)
	}
	close(held)
	settled(t, cl, p)
	if d := cmp.Diff(map[[2]uint16]int{{0, 1}: 20, {0, 2}: 20}, versions(t, c, p)); d != "" {
		t.Errorf("records by epoch and generation: %s", d)
	}
	if strings.Contains(oldLog.String(), "--instance") {
		t.Errorf("the fence was taken for a twin:\n%s", oldLog.String())
	}
}

// TestAFencedSessionLooksAgain: its client, which does not learn what became of its commit, initialises the producer
// again on its own, and no fence holds it any more.
func TestAFencedSessionLooksAgain(t *testing.T) {
	p := shop(2)
	c, cl := cluster(t, p)
	cfg := quick()
	cfg.Sessions = 1
	run(t, p, cfg, env(t, c, "old"))
	produce(t, cl, p, rows(20)...)
	settled(t, cl, p)
	ending, held := make(chan struct{}), make(chan struct{})
	begun := sync.OnceFunc(func() { close(ending) })
	var answered atomic.Bool
	c.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := r.(*kmsg.EndTxnRequest)
		if !req.Commit || !strings.HasPrefix(req.TransactionalID, "p.processor.old") || answered.Load() {
			return nil, nil, false
		}
		c.SleepControl(func() { begun(); <-held })
		answered.Store(true)
		resp := req.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = kerr.UnknownServerError.Code
		return resp, nil, true
	})
	produce(t, cl, p, rows(20)...)
	<-ending
	if _, err := processor.Register(t.Context(), decisions(c), cl, other(2), &other(2).Streams[0]); err != nil {
		t.Fatal(err)
	}
	close(held)
	settled(t, cl, p)
	if d := cmp.Diff(map[[2]uint16]int{{0, 1}: 20, {0, 2}: 20}, versions(t, c, p)); d != "" {
		t.Errorf("records by epoch and generation: %s", d)
	}
}

// TestRegister: what is known is not decided again; a key that does not fit the table is refused, and with another
// table it is another logic.
func TestRegister(t *testing.T) {
	p := shop(2)
	c, cl := cluster(t, p)
	register := func(change func(*pipeline.Stream)) (control.Stream, error) {
		x := shop(2)
		change(&x.Streams[0])
		return processor.Register(t.Context(), decisions(c), cl, x, &x.Streams[0])
	}
	is := func(what string, s control.Stream, err error, live uint16, generations int) {
		t.Helper()
		if err != nil || s.Live != live || len(s.Generations) != generations || len(s.Epochs) != 1 {
			t.Errorf("%s: generation %d of %d, epochs %v, %v; want %d of %d", what, s.Live, len(s.Generations), s.Epochs, err, live, generations)
		}
	}
	same := func(*pipeline.Stream) {}
	newKey := func(s *pipeline.Stream) { s.Process[1].Map[0].Expr = "id * 2" }
	for range 2 {
		s, err := register(same)
		is("the first logic", s, err, 1, 1)
	}
	s, err := register(func(s *pipeline.Stream) { s.Sink.Columns[1].Type = "bigint" })
	is("another type", s, err, 2, 2)
	s, err = register(same)
	is("the old file", s, err, 2, 2)
	_, err = register(newKey)
	if _, refused := errors.AsType[*processor.KeyError](err); !refused {
		t.Errorf("%v, want a KeyError", err)
	}
	s, err = register(func(s *pipeline.Stream) { newKey(s); s.Sink.Table = "t2" })
	is("another key, in another table", s, err, 3, 3)
}

// TestWhatIsDecidedBeforeASessionBegins holds: a session whose producer is initialised after a decision, so that no
// fence stops it, has read it.
func TestWhatIsDecidedBeforeASessionBegins(t *testing.T) {
	p := shop(2)
	c, cl := cluster(t, p)
	produce(t, cl, p, rows(20)...)
	initialising, held := make(chan struct{}), make(chan struct{})
	begun := sync.OnceFunc(func() { close(initialising) })
	c.ControlKey(int16(kmsg.InitProducerID), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if id := r.(*kmsg.InitProducerIDRequest).TransactionalID; id != nil && strings.HasPrefix(*id, "p.processor.old") {
			c.SleepControl(func() { begun(); <-held })
		}
		return nil, nil, false
	})
	cfg := quick()
	cfg.Sessions = 1
	run(t, p, cfg, env(t, c, "old"))
	<-initialising
	s, err := processor.Register(t.Context(), decisions(c), cl, other(2), &other(2).Streams[0])
	if err != nil || s.Live != 2 {
		t.Fatalf("generation %d, %v", s.Live, err)
	}
	close(held)
	settled(t, cl, p)
	if d := cmp.Diff(map[[2]uint16]int{{0, 2}: 20}, versions(t, c, p)); d != "" {
		t.Errorf("records by epoch and generation: %s", d)
	}
}
