package grow

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// copied is a pipeline of two streams whose raw records are written again, from one partition to two.
func copied(t *testing.T) (*grower, *kgo.Client) {
	t.Helper()
	cluster := testkafka.New(t)
	testkafka.Topics(t, cluster, 2, "p.a.raw", "p.b.raw")
	cl := testkafka.Client(t, cluster, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	p := &pipeline.Pipeline{Name: "p", Streams: []pipeline.Stream{{Name: "a"}, {Name: "b"}}}
	p.Kafka.MaxRecordBytes = 1 << 20
	g := &grower{
		Config: Config{
			Pipeline: p, To: 2, Client: cl, Control: control.Config{Pipeline: "p", Client: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}},
		},
		adm: kadm.NewClient(cl), is: map[string]control.Stream{},
	}
	for i, s := range p.Streams {
		for n := range 20 {
			put(t, cl, "p."+s.Name+".raw", 0, fmt.Sprint("k", n))
		}
		g.is[s.Name] = control.Stream{Grow: &control.Grow{From: 1, To: 2, First: map[int32]int64{0: 20}}}
		if n, err := g.copy(t.Context(), &p.Streams[i]); err != nil || n != 20 {
			t.Fatalf("stream %s: %d records, %v", s.Name, n, err)
		}
	}
	return g, cl
}

func put(t *testing.T, cl *kgo.Client, topic string, partition int32, key string) {
	t.Helper()
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: []byte("{}")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// verified decides what verify found.
func (g *grower) verified(t *testing.T) {
	t.Helper()
	next, err := g.verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range g.names() {
		g.grow(name).Next = next[name]
	}
	if err := g.quiet(t.Context()); err != nil {
		t.Errorf("nothing was written since: %v", err)
	}
}

func fails(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// TestWhatAnotherProgramWritesIsSeen: whenever it comes, before the comparison or after, nothing is deleted.
func TestWhatAnotherProgramWritesIsSeen(t *testing.T) {
	g, cl := copied(t)
	g.verified(t)
	key := []byte("k")
	put(t, cl, "p.a.raw", topics.Partition(key, 2), string(key))
	fails(t, g.quiet(t.Context()), "another program writes to it")
	_, err := g.verify(t.Context())
	fails(t, err, "stream a: p.a.raw")
	fails(t, err, "written by another program")
}

// TestBrokersThatKnowFewerPartitionsAreNotBelieved: their answer is asked for again.
func TestBrokersThatKnowFewerPartitionsAreNotBelieved(t *testing.T) {
	g, _ := copied(t)
	asked := 0
	ends, err := complete(t.Context(), g.adm, "p.a.raw", 2, func(ctx context.Context, adm *kadm.Client, topic string) (map[int32]int64, error) {
		all, err := admin.Ends(ctx, adm, topic)
		if asked++; asked == 1 {
			delete(all, 1)
		}
		return all, err
	})
	if err != nil || len(ends) != 2 || asked != 2 {
		t.Errorf("%v, %v, asked %d times", ends, err, asked)
	}
}
