package swap_test

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
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	_ "modernc.org/sqlite" // the driver

	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/swap"
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

// The logics of the stream s, of records {"id": …, "n": …, "status": …}.
var (
	doubles  = stream(`status != "draft"`, "n * 2", false)
	triples  = stream(`status != "draft"`, "n * 3", true)
	doubles2 = stream(`status != "draft"`, "n + n", true) // the same, otherwise, and one column more
)

func stream(filter, n string, status bool) pipeline.Stream {
	s := pipeline.Stream{
		Name: "s", Ingest: pipeline.Ingest{Key: []string{"id"}},
		Process: []pipeline.Step{{Filter: &pipeline.Filter{If: filter}}, {Map: []pipeline.Column{{Name: "id", Expr: "id"}, {Name: "n", Expr: n}}}},
		Sink:    pipeline.Sink{Table: "t", Columns: []pipeline.ColumnType{{Name: "id", Type: "bigint", Key: true}, {Name: "n", Type: "bigint"}}},
	}
	if status {
		s.Process[1].Map = append(s.Process[1].Map, pipeline.Column{Name: "status", Expr: "upper(status)"})
		s.Sink.Columns = append(s.Sink.Columns, pipeline.ColumnType{Name: "status", Type: "varchar(20)"})
	}
	return s
}

// world is a broker and a database, with a pipeline whose stages run in this process, as `millrace run` runs them.
type world struct {
	t        testing.TB
	name     string // of the pipeline
	brokers  []string
	database pipeline.Database
	dir      string
	cl       *kgo.Client
	db       *sql.DB

	mu   sync.Mutex
	raws []*kgo.Record // all that were produced
}

const partitions = 3

// newWorld is an embedded broker and a SQLite file.
func newWorld(t testing.TB, s pipeline.Stream) *world {
	t.Helper()
	cluster := testkafka.New(t, kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	w := &world{t: t, name: "p", dir: t.TempDir(), brokers: cluster.ListenAddrs(), database: pipeline.Database{Embedded: true}}
	w.open(s, "sqlite", "file:"+filepath.Join(w.dir, "millrace.db")+"?_pragma=busy_timeout(10000)")
	return w
}

// open makes the topics, and opens the database for readers.
func (w *world) open(s pipeline.Stream, driver, dsn string) {
	w.t.Helper()
	var err error
	if w.cl, err = kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.UnknownTopicRetries(-1), kgo.RecordDeliveryTimeout(patience)); err != nil { // a broker may not host at once what was just made
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.cl.Close)
	if err := admin.Ensure(w.t.Context(), kadm.NewClient(w.cl), topics.Specs(w.of(s))); err != nil {
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
		Kafka:   pipeline.Kafka{Partitions: partitions, Replication: 1, MaxRecordBytes: 1 << 20},
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

func config() processor.Config {
	cfg := processor.DefaultConfig()
	cfg.Sessions, cfg.Interval = 1, 20*time.Millisecond
	return cfg
}

// process runs the stages of a file with that stream, and its lines, as a process does, until stop is called.
func (w *world) process(s pipeline.Stream) (stop func()) {
	w.t.Helper()
	env := w.env("live")
	p := w.of(s)
	proc, err := processor.New(p, config(), env)
	if err != nil {
		w.t.Fatal(err)
	}
	sunk, err := sink.New(p, sink.DefaultConfig(), env)
	if err != nil {
		w.t.Fatal(err)
	}
	var metrics lines.Metrics
	stops := []func(){
		testkit.Run(w.t, lines.NewRunner("processor", p, env, &metrics, processorOf).Beside(proc.Run)),
		testkit.Run(w.t, lines.NewRunner("sink", p, env, &metrics, sinkOf).Beside(sunk.Run)),
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

func processorOf(p *pipeline.Pipeline, env stage.Env, rate int) (func(context.Context) error, error) {
	cfg := config()
	cfg.Rate = rate
	x, err := processor.New(p, cfg, env)
	if err != nil {
		return nil, err
	}
	return x.Run, nil
}

func sinkOf(p *pipeline.Pipeline, env stage.Env, _ int) (func(context.Context) error, error) {
	x, err := sink.New(p, sink.DefaultConfig(), env)
	if err != nil {
		return nil, err
	}
	return x.Run, nil
}

// shadow builds a line of a file with that stream, beside the process.
func (w *world) shadow(s pipeline.Stream) (number uint16) {
	w.t.Helper()
	b, err := lines.Open(w.of(s), "s", w.env("builder"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	plan, err := b.Begin(ctx, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := b.Run(ctx, plan.Number, lines.Work{Processor: config(), Sink: sink.DefaultConfig()}); err != nil {
		w.t.Fatal(err)
	}
	return plan.Number
}

// lines are those of a file with that stream, for a command.
func (w *world) lines(s pipeline.Stream) *swap.Lines {
	w.t.Helper()
	x, err := swap.Open(w.of(s), "s", w.env("command"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(x.Close)
	x.Told = func(text string) { w.t.Log(text) }
	return x
}

// raw is a revision of a key: nil n is a tombstone.
func raw(id int, status string, n any) *kgo.Record {
	r := &kgo.Record{Key: []byte(strconv.Itoa(id))}
	if n != nil {
		r.Value, _ = json.Marshal(map[string]any{"id": id, "status": status, "n": n})
	}
	return r
}

// some are revisions of a hundred keys: rows, drafts, tombstones, and, now and then, one that no logic takes.
func some(from, n int) (out []*kgo.Record) {
	for i := from; i < from+n; i++ {
		id := (i * 37) % 100
		switch i % 11 {
		case 3:
			out = append(out, raw(id, "draft", i))
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
		r.Topic, r.Partition = topics.Raw(w.name, "s"), topics.Partition(r.Key, partitions)
		r.Headers = topics.RawHeaders{PageID: "0", Ordinal: i, Time: time.UnixMilli(1)}.Append(nil)
		r.Timestamp = time.Now()
	}
	if err := w.cl.ProduceSync(context.WithoutCancel(w.t.Context()), records...).FirstErr(); err != nil {
		w.t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.raws = append(w.raws, records...)
}

// traffic writes records until stop is called.
func (w *world) traffic(from int) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	var all sync.WaitGroup
	all.Go(func() {
		for i := from; ctx.Err() == nil; i += 20 {
			w.write(some(i, 20)...)
			testkit.Pause(ctx, 50*time.Millisecond)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		all.Wait()
	})
	w.t.Cleanup(stop)
	return stop
}

// read reads a table: of each row n, and the status if it has one, by id.
func (w *world) read(table string) (map[int]string, error) {
	found, err := w.db.Query("SELECT * FROM " + table)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	names, err := found.Columns()
	if err != nil {
		return nil, err
	}
	out := map[int]string{}
	values, into := make([]sql.NullString, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for found.Next() {
		if err := found.Scan(into...); err != nil {
			return nil, err
		}
		id, text := 0, ""
		for i, name := range names {
			switch name {
			case "id":
				id, _ = strconv.Atoi(values[i].String)
			case "n", "status":
				text += values[i].String
			}
		}
		out[id] = text
	}
	return out, found.Err()
}

// fresh is the table that a fresh run makes, as read has it.
func (w *world) fresh(by int, status bool) map[int]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[int]string{}
	for _, r := range w.raws {
		var v struct {
			N      any    `json:"n"`
			Status string `json:"status"`
		}
		_ = json.Unmarshal(r.Value, &v)
		id, _ := strconv.Atoi(string(r.Key))
		switch n, isNumber := v.N.(float64); {
		case r.Value == nil, v.Status == "draft":
			delete(out, id)
		case isNumber && status:
			out[id] = strconv.Itoa(int(n)*by) + "OPEN"
		case isNumber:
			out[id] = strconv.Itoa(int(n) * by)
		}
	}
	return out
}

// becomes waits until a table is what a fresh run makes.
func (w *world) becomes(table string, by int, status bool) {
	w.t.Helper()
	want := w.fresh(by, status)
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
