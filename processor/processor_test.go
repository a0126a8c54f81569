package processor_test

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

func TestMain(m *testing.M) { testservers.Main(m) }

func raw(p *pipeline.Pipeline) string       { return topics.Raw(p.Name, "s") }
func processed(p *pipeline.Pipeline) string { return topics.Processed(p.Name, "s") }
func letters(p *pipeline.Pipeline) string   { return topics.DeadLetters(p.Name, "s") }

// servers are brokers, of kfake or real ones.
type servers interface{ ListenAddrs() []string }

// brokers are their addresses.
type brokers []string

func (b brokers) ListenAddrs() []string { return b }

// shop is a pipeline with one stream of records {"id": …, "n": …, "status": …}.
func shop(partitions int32) *pipeline.Pipeline {
	return &pipeline.Pipeline{
		Name:  "p",
		Kafka: pipeline.Kafka{Partitions: partitions, Replication: 1, MaxRecordBytes: 1 << 20},
		Streams: []pipeline.Stream{{
			Name: "s",

			Ingest: pipeline.Ingest{Key: []string{"id"}},
			Process: []pipeline.Step{
				{Filter: &pipeline.Filter{If: `status != "draft"`}},
				{Map: []pipeline.Column{{Name: "id", Expr: "id"}, {Name: "n", Expr: "n * 2"}}},
			},
			Sink: pipeline.Sink{Table: "t", Columns: []pipeline.ColumnType{
				{Name: "id", Type: "bigint", Key: true}, {Name: "n", Type: "int"},
			}},
		}},
	}
}

// cluster is a broker with the topics of a pipeline.
func cluster(t testing.TB, p *pipeline.Pipeline, opts ...kfake.Opt) (*kfake.Cluster, *kgo.Client) {
	t.Helper()
	c := testkafka.New(t, append([]kfake.Opt{kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"})}, opts...)...)
	cl := testkafka.Client(t, c, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := admin.Ensure(t.Context(), kadm.NewClient(cl), topics.Specs(p)); err != nil {
		t.Fatal(err)
	}
	return c, cl
}

// env is what a processor of that name is given, to reach c.
func env(t testing.TB, c servers, instance string) stage.Env {
	t.Helper()
	level := slog.LevelWarn
	out := io.Discard
	if os.Getenv("MILLRACE_TEST_LOG") != "" {
		out, level = os.Stderr, slog.LevelDebug
	}
	return stage.Env{
		Instance: instance,
		Kafka:    []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)},
		Log:      slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level})),
		Metrics:  prometheus.NewRegistry(),
		Health:   &stage.Health{},
	}
}

func quick() processor.Config {
	cfg := processor.DefaultConfig()
	cfg.Sessions, cfg.Interval = 2, 20*time.Millisecond
	return cfg
}

// run starts a processor and returns how to stop it, which fails the test if it does not end well.
func run(t testing.TB, p *pipeline.Pipeline, cfg processor.Config, e stage.Env) (stop func()) {
	t.Helper()
	proc, err := processor.New(p, cfg, e)
	if err != nil {
		t.Fatal(err)
	}
	return testkit.Run(t, proc.Run)
}

// produce writes raw records of page 0 to partition number of key modulo partitions.
func produce(t testing.TB, cl *kgo.Client, p *pipeline.Pipeline, records ...*kgo.Record) {
	t.Helper()
	for i, r := range records {
		if r.Topic == "" {
			r.Topic = raw(p)
		}
		if r.Headers == nil {
			r.Headers = topics.RawHeaders{PageID: "0", Ordinal: i, Time: time.UnixMilli(1)}.Append(nil)
		}
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func TestOutcomes(t *testing.T) {
	p := shop(2)
	c, cl := cluster(t, p)
	produce(t, cl, p,
		&kgo.Record{Key: []byte("1"), Value: []byte(`{"id":1,"n":2.50,"status":"ok"}`)},
		&kgo.Record{Key: []byte("2"), Value: []byte(`{"id":2,"n":2,"status":"draft"}`)},
		&kgo.Record{Key: []byte("3"), Value: []byte(`{"id":3,"n":"x","status":"ok"}`)},
		&kgo.Record{Key: []byte("4"), Value: nil},
		&kgo.Record{Key: []byte("5"), Value: []byte(`{"id":5,`), Partition: 1},
	)
	stop := run(t, p, quick(), env(t, c, "a"))
	rows, refused := testkit.Await(t, c.ListenAddrs(), 3, processed(p)), testkit.Await(t, c.ListenAddrs(), 2, letters(p))
	stop()
	for i, want := range []string{
		`1 {"id":1,"n":5.00} []`,
		`2 null [2]`,
		`4 null [4]`,
	} {
		pk, _ := topics.Header(rows[i], topics.HeaderPK)
		value := "null"
		if rows[i].Value != nil {
			value = string(rows[i].Value)
		}
		if pk == nil {
			pk = []byte("[]")
		}
		if got := fmt.Sprintf("%s %s %s", rows[i].Key, value, pk); got != want {
			t.Errorf("row %d: %s, want %s", i, got, want)
		}
	}
	for _, r := range refused {
		reason, _ := topics.Header(r, topics.HeaderReason)
		step, _ := topics.Header(r, topics.HeaderStep)
		t.Logf("%s[%d]: %s: %s: %s", r.Topic, r.Partition, r.Key, step, reason)
	}
}
