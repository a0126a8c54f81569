package lines_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	_ "modernc.org/sqlite" // the driver

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// patience is how long tests wait for what must happen.
const patience = 3 * time.Minute

// before and after are the logics of the stream s, of records {"id": …, "n": …, "status": …}: with other keys, and other columns.
var (
	before = stream("id", `status != "draft"`, map[string]string{"id": "id", "n": "n * 2"}, "id bigint key", "n bigint")
	after  = stream("id", `status != "void"`, map[string]string{"code": `"k" + string(id)`, "n": "n * 3", "status": "upper(status)"},
		"code varchar(40) key", "n bigint", "status text")
)

// stream is a stream with a filter and a map, and columns such as "id bigint key".
func stream(key, filter string, columns map[string]string, types ...string) pipeline.Stream {
	s := pipeline.Stream{
		Name: "s", Ingest: pipeline.Ingest{Key: []string{key}}, Process: []pipeline.Step{{Filter: &pipeline.Filter{If: filter}}, {}},
		Sink: pipeline.Sink{Table: "t"},
	}
	for _, text := range types {
		var name, typ, rest string
		_, _ = fmt.Sscan(text, &name, &typ, &rest)
		s.Sink.Columns = append(s.Sink.Columns, pipeline.ColumnType{Name: name, Type: typ, Key: rest == "key"})
		s.Process[1].Map = append(s.Process[1].Map, pipeline.Column{Name: name, Expr: columns[name]})
	}
	return s
}

// world is a broker and a database, with the topics of a pipeline of one stream.
type world struct {
	t          testing.TB
	name       string // of the pipeline
	brokers    []string
	cluster    *kfake.Cluster // nil: real servers
	database   pipeline.Database
	dir        string
	partitions int32
	cl         *kgo.Client
	db         *sql.DB
	raws       []*kgo.Record // all that were produced
}

// newWorld has an embedded broker and a SQLite file.
func newWorld(t testing.TB, partitions int32) *world {
	t.Helper()
	w := &world{t: t, name: "p", dir: t.TempDir(), partitions: partitions, database: pipeline.Database{Embedded: true}}
	w.cluster = testkafka.New(t, kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	w.brokers = w.cluster.ListenAddrs()
	w.open("sqlite", "file:"+filepath.Join(w.dir, "millrace.db")+"?_pragma=busy_timeout(10000)")
	return w
}

// open connects to the servers, and makes the topics.
func (w *world) open(driver, dsn string) {
	w.t.Helper()
	var err error
	if w.cl, err = kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.UnknownTopicRetries(-1), kgo.RecordDeliveryTimeout(patience)); err != nil { // a broker may not host at once what was just made
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.cl.Close)
	if err := admin.Ensure(w.t.Context(), kadm.NewClient(w.cl), topics.Specs(w.of(before))); err != nil {
		w.t.Fatal(err)
	}
	if w.db, err = sql.Open(driver, dsn); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.db.Close() })
}

// of is the pipeline of a file with that stream.
func (w *world) of(s pipeline.Stream) *pipeline.Pipeline {
	return &pipeline.Pipeline{
		Name: w.name, DataDir: w.dir, Database: w.database,
		Kafka:   pipeline.Kafka{Partitions: w.partitions, Replication: 1, MaxRecordBytes: 1 << 20},
		Streams: []pipeline.Stream{s},
	}
}

func (w *world) env(name string) stage.Env {
	out, level := io.Discard, slog.LevelWarn
	if os.Getenv("MILLRACE_TEST_LOG") != "" {
		out, level = os.Stderr, slog.LevelInfo
	}
	return stage.Env{
		Instance: name, Kafka: []kgo.Opt{kgo.SeedBrokers(w.brokers...)},
		Log:     slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level})).With("who", name),
		Metrics: prometheus.NewRegistry(), Health: &stage.Health{}, File: "shop.yaml",
	}
}

// config is of processors.
func config() processor.Config {
	cfg := processor.DefaultConfig()
	cfg.Sessions, cfg.Interval = 1, 20*time.Millisecond
	return cfg
}

// stages runs a processor and a sink of p until stop is called.
func (w *world) stages(p *pipeline.Pipeline, name string) (stop func()) {
	w.t.Helper()
	proc, err := processor.New(p, config(), w.env(name))
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := sink.New(p, sink.DefaultConfig(), w.env(name))
	if err != nil {
		w.t.Fatal(err)
	}
	stops := []func(){testkit.Run(w.t, proc.Run), testkit.Run(w.t, s.Run)}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

// raw is a revision of a key: nil n is a tombstone.
func raw(id int, status string, n any) *kgo.Record {
	r := &kgo.Record{Key: []byte(strconv.Itoa(id))}
	if n != nil {
		r.Value, _ = json.Marshal(map[string]any{"id": id, "status": status, "n": n})
	}
	return r
}

// some are revisions of a hundred keys: rows, drafts, voids, tombstones, and, now and then, one that no logic takes.
func some(from, n int) (out []*kgo.Record) {
	for i := from; i < from+n; i++ {
		id := (i * 37) % 100
		switch i % 11 {
		case 3:
			out = append(out, raw(id, "draft", i))
		case 5:
			out = append(out, raw(id, "void", i))
		case 7:
			out = append(out, raw(id, "", nil))
		case 9:
			out = append(out, raw(id, "open", "no number"))
		default:
			out = append(out, raw(id, "open", i))
		}
	}
	return out
}

// write writes raw records.
func (w *world) write(records ...*kgo.Record) {
	w.t.Helper()
	for i, r := range records {
		r.Topic, r.Partition = topics.Raw(w.name, "s"), topics.Partition(r.Key, w.partitions)
		r.Headers = topics.RawHeaders{PageID: "0", Ordinal: i, Time: time.UnixMilli(1)}.Append(nil)
		r.Timestamp = time.Now()
	}
	if err := w.cl.ProduceSync(context.WithoutCancel(w.t.Context()), records...).FirstErr(); err != nil {
		w.t.Error(err)
	}
	w.raws = append(w.raws, records...)
}

// read returns a table as texts, by the first column.
func (w *world) read(table string) (map[string]string, error) {
	out := map[string]string{}
	found, err := w.db.Query("SELECT code, n, status FROM " + table)
	if err != nil {
		found, err = w.db.Query("SELECT id, n, '' FROM " + table)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var key, n, status string
		if err := found.Scan(&key, &n, &status); err != nil {
			return nil, err
		}
		out[key] = n + status
	}
	return out, found.Err()
}

// fresh is the table that a fresh run of before or after makes, as read has it.
func (w *world) fresh(changed bool) map[string]string {
	out := map[string]string{}
	refused, prefix, by := "draft", "", 2
	if changed {
		refused, prefix, by = "void", "k", 3
	}
	for _, r := range w.raws {
		var v struct {
			N      any    `json:"n"`
			Status string `json:"status"`
		}
		_ = json.Unmarshal(r.Value, &v)
		key := prefix + string(r.Key)
		switch n, isNumber := v.N.(float64); {
		case r.Value == nil, v.Status == refused:
			delete(out, key)
		case isNumber && changed:
			out[key] = strconv.Itoa(int(n)*by) + map[string]string{"open": "OPEN", "draft": "DRAFT"}[v.Status]
		case isNumber:
			out[key] = strconv.Itoa(int(n) * by)
		}
	}
	return out
}

// becomes waits until a table is what a fresh run makes.
func (w *world) becomes(table string, changed bool) {
	w.t.Helper()
	want := w.fresh(changed)
	testkit.Eventually(w.t, patience, func() error {
		got, err := w.read(table)
		if err == nil && !maps.Equal(got, want) {
			err = fmt.Errorf("%s has %d rows, want %d: %v, want %v", table, len(got), len(want), got, want)
		}
		return err
	})
}

// decided is what is decided about the stream.
func (w *world) decided() *control.Stream {
	w.t.Helper()
	s, err := control.About(w.t.Context(), control.Config{Pipeline: w.name, Client: w.env("view").Kafka}, "s")
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}
