package processor_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// network is what one process reaches the brokers through. Cut, nothing goes through it any more: to the
// brokers, the process has been killed.
type network struct {
	mu    sync.Mutex
	dead  bool
	conns []net.Conn
}

func (n *network) dial(ctx context.Context, network, host string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, host)
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil && n.dead {
		_ = c.Close()
		return nil, errors.New("cut")
	}
	n.conns = append(n.conns, c)
	return c, err
}

func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead = true
	for _, c := range n.conns {
		if c != nil {
			_ = c.Close()
		}
	}
}

// runUntilCut starts a processor, with transactions that stay open for a while, and returns how to end it the hard
// way. cut returns what the processor says of what it had in hand: nil if that was nothing, as right after its start.
func runUntilCut(t testing.TB, p *pipeline.Pipeline, cfg processor.Config, e stage.Env, wire *network) (cut func() error) {
	t.Helper()
	cfg.Drain, cfg.Interval = 0, 200*time.Millisecond
	proc, err := processor.New(p, cfg, e)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- proc.Run(ctx) }()
	return func() error {
		wire.cut()
		cancel()
		return <-done
	}
}

// TestKilled kills a processor with transactions open, and lets another go on: the same one, started again, without a
// wait for the session timeout, which is longer than the test waits; one of another name after the session timeout,
// though kfake may wait for a dead leader's assignment until its rebalance timeout has passed twice.
func TestKilled(t *testing.T) {
	for heir, timeout := range map[string]time.Duration{"a": 4 * time.Minute, "b": quick().SessionTimeout} {
		t.Run(heir, func(t *testing.T) {
			p := shop(4)
			c, cl := cluster(t, p)
			var wire network
			e := env(t, c, "a")
			e.Kafka = append(e.Kafka, kgo.Dialer(wire.dial))
			cfg := quick()
			cfg.SessionTimeout = timeout
			cut := runUntilCut(t, p, cfg, e, &wire)
			feed(t, cl, p, 20, 50, 4)
			_ = cut()
			feed(t, cl, p, 20, 50, 4)
			start := time.Now()
			stop := run(t, p, cfg, env(t, c, heir))
			settled(t, cl, p)
			t.Logf("took over after %s", time.Since(start))
			stop()
			compare(t, c, p, 2000)
		})
	}
}

// TestDrainLeavesTheGroup stops one of two processors; the other has all partitions at once.
func TestDrainLeavesTheGroup(t *testing.T) {
	p := shop(4)
	c, cl := cluster(t, p)
	run(t, p, quick(), env(t, c, "a"))
	stop := run(t, p, quick(), env(t, c, "b"))
	members := func() []string {
		groups, err := kadm.NewClient(cl).DescribeGroups(t.Context(), topics.ProcessorGroup(p.Name))
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, m := range groups[topics.ProcessorGroup(p.Name)].Members {
			ids = append(ids, *m.InstanceID)
		}
		slices.Sort(ids)
		return ids
	}
	testkit.Eventually(t, 2*time.Minute, testkit.That("four members", func() bool { return len(members()) == 4 }))
	stop()
	if got := members(); !slices.Equal(got, []string{"p.processor.a.0", "p.processor.a.1"}) {
		t.Errorf("members after the drain of b: %v", got)
	}
	produce(t, cl, p, load(100, 4)...)
	settled(t, cl, p)
	compare(t, c, p, 100)
}

// TestPositionBelowTheLog: partitions whose position was deleted stand, with the remedy; the others go on, and these
// too once positions are declared.
func TestPositionBelowTheLog(t *testing.T) {
	p := shop(3)
	c, cl := cluster(t, p)
	stop := run(t, p, quick(), env(t, c, "a"))
	produce(t, cl, p, load(60, 3)...)
	settled(t, cl, p)
	stop()
	produce(t, cl, p, load(60, 3)...)
	adm := kadm.NewClient(cl)
	ends, err := adm.ListEndOffsets(t.Context(), raw(p))
	if err != nil {
		t.Fatal(err)
	}
	var offsets kadm.Offsets
	for _, partition := range []int32{0, 2} {
		end, _ := ends.Lookup(raw(p), partition)
		offsets.AddOffset(raw(p), partition, end.Offset-1, -1)
	}
	if _, err := adm.DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	e := env(t, c, "a")
	run(t, p, quick(), e)
	testkit.Eventually(t, 2*time.Minute, testkit.That("a notice that names both partitions", func() bool {
		text := e.Health.Degraded()["processor s"]
		for _, want := range []string{
			raw(p) + "[0] continues at", raw(p) + "[2] continues at", "millrace recover FILE s", "ingest does not fetch these records again on its own",
		} {
			if !strings.Contains(text, want) {
				return false
			}
		}
		return !strings.Contains(text, raw(p)+"[1]")
	}))
	testkit.Eventually(t, 2*time.Minute, testkit.That("the other partition is processed", func() bool {
		end, _ := ends.Lookup(raw(p), 1)
		at, err := adm.FetchOffsets(t.Context(), topics.ProcessorGroup(p.Name))
		got, ok := at.Lookup(raw(p), 1)
		return err == nil && ok && got.At == end.Offset
	}))
	decide(t, c, func(s *control.Stream) {
		s.Run = control.Run{Number: s.Run.Number + 1, From: map[int32]int64{}}
		ends.Each(func(o kadm.ListedOffset) { s.Run.From[o.Partition] = o.Offset - 1 })
	})
	settled(t, cl, p)
	testkit.Eventually(t, 2*time.Minute, testkit.That("no notice", func() bool {
		return !strings.Contains(e.Health.Degraded()["processor s"], "not in their topic")
	}))
}

// transactional produces raw records as ingest does: in transactions, each of which leaves a marker.
func transactional(t *testing.T, c servers, p *pipeline.Pipeline, records ...*kgo.Record) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("p.ingest.0"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, cl, p, records...)
	if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
}

// TestEmptiedLogIsNoGap: retention empties a quiet partition, whose last offset is the marker of a commit. The
// processor goes on when it is started again.
func TestEmptiedLogIsNoGap(t *testing.T) {
	p := shop(1)
	c, cl := cluster(t, p)
	stop := run(t, p, quick(), env(t, c, "a"))
	transactional(t, c, p, load(20, 1)...)
	settled(t, cl, p) // up to the marker
	stop()
	adm := kadm.NewClient(cl)
	ends, err := adm.ListEndOffsets(t.Context(), raw(p))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := adm.DeleteRecords(t.Context(), ends.Offsets()); err != nil {
		t.Fatal(err)
	}
	run(t, p, quick(), env(t, c, "a"))
	transactional(t, c, p, load(20, 1)...)
	settled(t, cl, p)
	if got := len(testkit.Records(t, c.ListenAddrs(), processed(p), letters(p))); got != 40 {
		t.Errorf("%d outcomes, want 40", got)
	}
}

func TestMismatchedTopicStops(t *testing.T) {
	p := shop(2)
	c := testkafka.New(t)
	testkafka.Topics(t, c, 3, raw(p))
	proc, err := processor.New(p, quick(), env(t, c, "a"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var mismatch *admin.MismatchError
	if err := proc.Run(ctx); !errors.As(err, &mismatch) {
		t.Errorf("Run: %v, want a MismatchError", err)
	}
}

// TestWaitsForKafka starts a processor before its broker, and takes the broker away later.
func TestWaitsForKafka(t *testing.T) {
	p := shop(2)
	port, dir := testkit.FreePort(t), t.TempDir()
	broker := func() *kfake.Cluster {
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	early := broker()
	addrs := early.ListenAddrs()
	early.Close()

	e := env(t, brokers(addrs), "a")
	stop := run(t, p, quick(), e)
	testkit.Eventually(t, 2*time.Minute, testkit.That("waiting", func() bool { return strings.Contains(e.Health.Waiting()["processor"], "Kafka") }))
	c := broker()
	testkit.Eventually(t, 2*time.Minute, testkit.That("ready", func() bool { return len(e.Health.Waiting()) == 0 }))
	cl := testkafka.Client(t, c, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	produce(t, cl, p, load(100, 2)...)
	settled(t, cl, p)
	c.Close()
	testkit.Eventually(t, 2*time.Minute, testkit.That("waiting again", func() bool { return len(e.Health.Waiting()) > 0 }))
	c = broker()
	defer func() { c.Close() }()
	testkit.Eventually(t, 2*time.Minute, testkit.That("ready again", func() bool { return len(e.Health.Waiting()) == 0 }))
	cl = testkafka.Client(t, c, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	produce(t, cl, p, load(100, 2)...)
	settled(t, cl, p)
	stop()
	compare(t, c, p, 200)
}

// TestLettersFit refuses records that are as large as the raw topic takes them, and larger.
func TestLettersFit(t *testing.T) {
	p := shop(1)
	p.Kafka.MaxRecordBytes = 200_000
	c, cl := cluster(t, p)
	adm := kadm.NewClient(cl)
	large := "600000"
	if _, err := adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &large}}, raw(p)); err != nil {
		t.Fatal(err)
	}
	fill := func(n int) string { return strings.Repeat("x", n) }
	produce(t, cl, p,
		&kgo.Record{Key: []byte("1"), Value: []byte(`{"id":1,"n":"` + fill(199_000) + `"}`)},
		&kgo.Record{Key: []byte("2"), Value: []byte(`{"id":2,"n":"` + fill(500_000) + `"}`)},
		&kgo.Record{Key: []byte(fill(280_000)), Value: []byte(`{`)},
		&kgo.Record{Key: []byte("3"), Value: []byte(`{"id":3,"n":1}`)},
	)
	if _, err := adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: new("200000")}}, raw(p)); err != nil {
		t.Fatal(err)
	}
	stop := run(t, p, quick(), env(t, c, "a"))
	refused := testkit.Await(t, c.ListenAddrs(), 3, letters(p))
	testkit.Await(t, c.ListenAddrs(), 1, processed(p))
	settled(t, cl, p)
	stop()
	for i, value := range []int{199_015, 0, 1} {
		reason, _ := topics.Header(refused[i], topics.HeaderReason)
		if len(refused[i].Value) != value {
			t.Errorf("letter %d: a value of %d bytes, want %d: %.200s", i, len(refused[i].Value), value, reason)
		}
		if cut := strings.Contains(string(reason), "did not fit"); cut != (i > 0) {
			t.Errorf("letter %d: reason %.200s", i, reason)
		}
	}
}

// TestLargeOutput dead-letters a row that the processed topic cannot hold.
func TestLargeOutput(t *testing.T) {
	p := shop(1)
	p.Kafka.MaxRecordBytes = 100_000
	p.Streams[0].Process[1].Map[1].Expr = `text + text + text`
	c, cl := cluster(t, p)
	produce(t, cl, p,
		&kgo.Record{Key: []byte("1"), Value: []byte(`{"id":1,"text":"` + strings.Repeat("x", 40_000) + `"}`)},
		&kgo.Record{Key: []byte("2"), Value: []byte(`{"id":2,"text":"` + strings.Repeat("x", 30_000) + `"}`)},
	)
	stop := run(t, p, quick(), env(t, c, "a"))
	refused, rows := testkit.Await(t, c.ListenAddrs(), 1, letters(p)), testkit.Await(t, c.ListenAddrs(), 1, processed(p))
	stop()
	if reason, _ := topics.Header(refused[0], topics.HeaderReason); !strings.Contains(string(reason), "kafka.max_record_bytes") || string(refused[0].Key) != "1" {
		t.Errorf("letter of %s: %s", refused[0].Key, reason)
	}
	if string(rows[0].Key) != "2" {
		t.Errorf("row of %s", rows[0].Key)
	}
}

// slowLink lets bytesPerSecond through to the brokers.
type slowLink struct{ net.Conn }

const bytesPerSecond = 1 << 20

func (s slowLink) Write(b []byte) (n int, err error) {
	for piece := range slices.Chunk(b, 16<<10) {
		testkit.Pause(context.Background(), time.Second*time.Duration(len(piece))/bytesPerSecond)
		k, err := s.Conn.Write(piece)
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
}

// TestSlowLink: a transaction may have more records than can be sent before the brokers abort it; smaller ones get
// through.
func TestSlowLink(t *testing.T) {
	p := shop(1)
	text := pipeline.Column{Name: "text", Expr: "text"}
	p.Streams[0].Process = []pipeline.Step{{Map: []pipeline.Column{{Name: "id", Expr: "id"}, text}}}
	p.Streams[0].Sink.Columns = []pipeline.ColumnType{{Name: "id", Type: "bigint", Key: true}, {Name: "text", Type: "text"}}
	c, cl := cluster(t, p)
	const n = 4000
	var records []*kgo.Record
	random := make([]byte, 400) // no compression makes it small
	for i := range n {
		_, _ = rand.Read(random)
		records = append(records, &kgo.Record{Topic: raw(p), Key: fmt.Append(nil, i), Value: fmt.Appendf(nil, `{"id":%d,"text":"%x"}`, i, random)})
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	cfg := quick()
	cfg.Sessions, cfg.MaxRecords, cfg.TransactionTimeout = 1, n, time.Second
	e := env(t, c, "a")
	e.Kafka = append(e.Kafka, kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, host)
		return slowLink{conn}, err
	}))
	defer run(t, p, cfg, e)()
	testkit.Eventually(t, 2*time.Minute, testkit.That("all records", func() bool {
		at, err := kadm.NewClient(cl).FetchOffsets(t.Context(), topics.ProcessorGroup(p.Name))
		got, ok := at.Lookup(raw(p), 0)
		return err == nil && ok && got.At >= n
	}))
	testkit.Await(t, c.ListenAddrs(), n, processed(p))
}
