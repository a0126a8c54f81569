package grow

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics/control"
)

// toCopy is a pipeline of a stream with raw records that are to be written again.
func toCopy(t *testing.T, records int) (*grower, *kfake.Cluster) {
	t.Helper()
	cluster := testkafka.New(t)
	testkafka.Topics(t, cluster, 2, "p.a.raw")
	cl := testkafka.Client(t, cluster, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var all []*kgo.Record
	for n := range records {
		all = append(all, &kgo.Record{Topic: "p.a.raw", Key: fmt.Append(nil, "k", n), Value: []byte("{}")})
	}
	if err := cl.ProduceSync(t.Context(), all...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	p := &pipeline.Pipeline{Name: "p", Streams: []pipeline.Stream{{Name: "a"}}}
	p.Kafka.MaxRecordBytes = 1 << 20
	return &grower{
		Config: Config{
			Pipeline: p, To: 2, Client: cl, Control: control.Config{Pipeline: "p", Client: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}},
		},
		adm: kadm.NewClient(cl),
		is:  map[string]control.Stream{"a": {Grow: &control.Grow{From: 1, To: 2, First: map[int32]int64{0: int64(records)}}}},
	}, cluster
}

// TestManyRecordsAreCopiedAtOnce: the records of a transaction are sent together, and not each after the answer to the one before.
func TestManyRecordsAreCopiedAtOnce(t *testing.T) {
	const records = 3 * copyRecords
	g, cluster := toCopy(t, records)
	produces := make(chan struct{}, records)
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		produces <- struct{}{}
		return nil, nil, false
	})
	if n, err := g.copy(t.Context(), &g.Pipeline.Streams[0]); err != nil || n != records {
		t.Fatalf("%d records, %v", n, err)
	}
	if n := len(produces); n >= records {
		t.Errorf("%d requests for %d records", n, records)
	}
	g.verified(t)
}

// TestACopyEndsWithItsContext although the brokers do not answer any more.
func TestACopyEndsWithItsContext(t *testing.T) {
	g, cluster := toCopy(t, 20)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		end()
		return nil, nil, true
	})
	ended := make(chan error, 1) // one send, so that it never waits
	go func() {
		_, err := g.copy(ctx, &g.Pipeline.Streams[0])
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("nothing failed")
		}
	case <-time.After(time.Minute):
		t.Fatal("it goes on after its context has ended")
	}
}
