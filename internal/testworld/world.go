package testworld

import (
	"context"
	"database/sql"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	_ "modernc.org/sqlite" // the driver

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// Patience is how long tests wait for what must happen.
const Patience = 3 * time.Minute

// World is a broker and a database, with the topics of a pipeline of one stream, [Stream]. Its fields do not change.
// Its methods may be called concurrently where they say so.
type World struct {
	T          testing.TB
	Name       string // of the pipeline
	Brokers    []string
	Cluster    *kfake.Cluster // nil: a real broker
	Database   pipeline.Database
	Dir        string // where an embedded database is
	Partitions int32
	Client     *kgo.Client // which chooses no partitions
	DB         *sql.DB     // for readers of tables

	mu   sync.Mutex
	raws []*kgo.Record // all that were written
}

// New returns a world with an embedded broker and a SQLite file, and with the topics of a file with that stream.
func New(t testing.TB, s pipeline.Stream, partitions int32) *World {
	t.Helper()
	cluster := testkafka.New(t, kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	w := &World{
		T: t, Name: "p", Brokers: cluster.ListenAddrs(), Cluster: cluster, Database: pipeline.Database{Embedded: true}, Dir: t.TempDir(), Partitions: partitions,
	}
	w.open(s, "sqlite", "file:"+filepath.Join(w.Dir, "millrace.db")+"?_pragma=busy_timeout(10000)")
	return w
}

// open connects to the servers, and makes the topics.
func (w *World) open(s pipeline.Stream, driver, dsn string) {
	w.T.Helper()
	var err error
	if w.Client, err = kgo.NewClient(kgo.SeedBrokers(w.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		// a broker may not host at once what was just made
		kgo.UnknownTopicRetries(-1), kgo.RecordDeliveryTimeout(Patience)); err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(w.Client.Close)
	if err := admin.Ensure(w.T.Context(), kadm.NewClient(w.Client), topics.Specs(w.Of(s))); err != nil {
		w.T.Fatal(err)
	}
	if w.DB, err = sql.Open(driver, dsn); err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { _ = w.DB.Close() })
}

// Of is the pipeline of a file with that stream.
func (w *World) Of(s pipeline.Stream) *pipeline.Pipeline {
	return &pipeline.Pipeline{
		Name: w.Name, DataDir: w.Dir, Database: w.Database,
		Kafka:   pipeline.Kafka{Partitions: w.Partitions, Replication: 1, MaxRecordBytes: 1 << 20},
		Streams: []pipeline.Stream{s},
	}
}

// Env is what a stage or a command of that name is given. MILLRACE_TEST_LOG, if it is set, shows what they log.
func (w *World) Env(name string) stage.Env {
	out, level := io.Discard, slog.LevelWarn
	if os.Getenv("MILLRACE_TEST_LOG") != "" {
		out, level = os.Stderr, slog.LevelInfo
	}
	return stage.Env{
		Instance: name, Kafka: []kgo.Opt{kgo.SeedBrokers(w.Brokers...)},
		Log:     slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level})).With("who", name),
		Metrics: prometheus.NewRegistry(), Health: &stage.Health{}, File: "shop.yaml",
	}
}

// Write writes raw records. It may be called concurrently; the world's raw records are in the order of its returns.
func (w *World) Write(records ...*kgo.Record) {
	w.T.Helper()
	for i, r := range records {
		r.Topic, r.Partition = topics.Raw(w.Name, Stream), topics.Partition(r.Key, w.Partitions)
		r.Headers = topics.RawHeaders{PageID: "0", Ordinal: i, Time: time.UnixMilli(1)}.Append(nil)
		r.Timestamp = time.Now()
	}
	if err := w.Client.ProduceSync(context.WithoutCancel(w.T.Context()), records...).FirstErr(); err != nil {
		w.T.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.raws = append(w.raws, records...)
}

// Raws are all records that were written, in their order. It may be called concurrently.
func (w *World) Raws() []*kgo.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.raws)
}

// Decided is what is decided about the stream.
func (w *World) Decided() *control.Stream {
	w.T.Helper()
	s, err := control.About(w.T.Context(), control.Config{Pipeline: w.Name, Client: w.Env("view").Kafka}, Stream)
	if err != nil {
		w.T.Fatal(err)
	}
	return s
}
