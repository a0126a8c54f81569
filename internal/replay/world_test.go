package replay_test

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

	"github.com/millrace-io/millrace/internal/replay"
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

// The logics of a stream of records {"id": …, "n": …, "status": …}.
type logic struct{ filter, n string }

var (
	wrong   = logic{`status != "draft"`, "n * 2"}
	right   = logic{`status != "draft"`, "n * 3"}
	lenient = logic{`status != "void"`, "n * 3"} // keeps drafts
)

// world is a pipeline with one stream on an embedded broker and a SQLite file, its stages in this process.
type world struct {
	t          testing.TB
	cluster    *kfake.Cluster
	dir        string
	partitions int32
	cl         *kgo.Client
	db         *sql.DB

	pipeline *pipeline.Pipeline // what the processor runs
	stopped  func()             // stops the processor
	raws     []*kgo.Record      // all that were produced
}

func newWorld(t testing.TB, partitions int32, l logic) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), partitions: partitions}
	w.cluster = testkafka.New(t, kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	w.cl = testkafka.Client(t, w.cluster, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	w.pipeline = w.of(l)
	if err := admin.Ensure(t.Context(), kadm.NewClient(w.cl), topics.Specs(w.pipeline)); err != nil {
		t.Fatal(err)
	}
	s, err := sink.New(w.pipeline, sink.DefaultConfig(), w.env("sink"))
	if err != nil {
		t.Fatal(err)
	}
	testkit.Run(t, s.Run)
	w.process(l)
	if w.db, err = sql.Open("sqlite", "file:"+filepath.Join(w.dir, "millrace.db")+"?_pragma=busy_timeout(5000)"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.db.Close() })
	return w
}

// of is the pipeline with a logic.
func (w *world) of(l logic) *pipeline.Pipeline {
	return &pipeline.Pipeline{
		Name: "p", DataDir: w.dir, Database: pipeline.Database{Embedded: true},
		Kafka: pipeline.Kafka{Partitions: w.partitions, Replication: 1, MaxRecordBytes: 1 << 20},
		Streams: []pipeline.Stream{{
			Name: "s", Ingest: pipeline.Ingest{Key: []string{"id"}},
			Process: []pipeline.Step{
				{Filter: &pipeline.Filter{If: l.filter}},
				{Map: []pipeline.Column{{Name: "id", Expr: "id"}, {Name: "n", Expr: l.n}}},
			},
			Sink: pipeline.Sink{Table: "t", Columns: []pipeline.ColumnType{
				{Name: "id", Type: "bigint", Key: true}, {Name: "n", Type: "bigint"},
			}},
		}},
	}
}

func (w *world) env(name string) stage.Env {
	out, level := io.Discard, slog.LevelWarn
	if os.Getenv("MILLRACE_TEST_LOG") != "" {
		out, level = os.Stderr, slog.LevelInfo
	}
	return stage.Env{
		Instance: name, Kafka: []kgo.Opt{kgo.SeedBrokers(w.cluster.ListenAddrs()...)},
		Log:     slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level})).With("who", name),
		Metrics: prometheus.NewRegistry(), Health: &stage.Health{},
	}
}

// process has the processor run a logic, in place of the one that it runs.
func (w *world) process(l logic) {
	w.t.Helper()
	if w.stopped != nil {
		w.stopped()
	}
	w.pipeline = w.of(l)
	cfg := processor.DefaultConfig()
	cfg.Sessions, cfg.Interval = 1, 20*time.Millisecond
	p, err := processor.New(w.pipeline, cfg, w.env("live"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.stopped = testkit.Run(w.t, p.Run)
}

// raw is a revision of a key: nil n is a tombstone.
func raw(id int, status string, n any) *kgo.Record {
	r := &kgo.Record{Key: []byte(strconv.Itoa(id))}
	if n != nil {
		r.Value, _ = json.Marshal(map[string]any{"id": id, "status": status, "n": n})
	}
	return r
}

// produce writes raw records, and returns when the table has them.
func (w *world) produce(records ...*kgo.Record) {
	w.t.Helper()
	w.write(records...)
	w.settle()
}

// write writes raw records.
func (w *world) write(records ...*kgo.Record) {
	w.t.Helper()
	for i, r := range records {
		r.Topic, r.Partition = topics.Raw("p", "s"), topics.Partition(r.Key, w.partitions)
		r.Headers = topics.RawHeaders{PageID: "0", Ordinal: i, Time: time.UnixMilli(1)}.Append(nil)
		r.Timestamp = time.Now()
	}
	if err := w.cl.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	w.raws = append(w.raws, records...)
}

// settle waits until the table has all that is in the raw topic.
func (w *world) settle() {
	w.t.Helper()
	a, err := sink.OpenAdmin(w.pipeline)
	if err != nil {
		w.t.Fatal(err)
	}
	defer a.Close()
	ctx := w.t.Context()
	testkit.Eventually(w.t, 2*time.Minute, func() error {
		if n, err := admin.Lag(ctx, w.cl, topics.ProcessorGroup("p"), w.partitions, topics.Raw("p", "s")); err != nil || n > 0 {
			return fmt.Errorf("the processor lags %d: %w", n, err)
		}
		positions, err := a.Positions(ctx, "s")
		at := map[int32]int64{}
		for partition := range w.partitions {
			at[partition] = -1
			if p, ok := positions[partition]; ok {
				at[partition] = p.Next
			}
		}
		n := int64(0)
		if err == nil {
			n, err = admin.Remaining(ctx, w.cl, map[string]map[int32]int64{topics.Processed("p", "s"): at})
		}
		if err != nil || n > 0 {
			return fmt.Errorf("the sink lags %d: %w", n, err)
		}
		return nil
	})
}

// rows are the table: n by id.
func (w *world) rows() map[int]int {
	w.t.Helper()
	out := map[int]int{}
	found, err := w.db.QueryContext(context.WithoutCancel(w.t.Context()), "SELECT id, n FROM t")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var id, n int
		if err := found.Scan(&id, &n); err != nil {
			w.t.Fatal(err)
		}
		out[id] = n
	}
	if err := found.Err(); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// fresh is the table that a fresh run of a logic makes: of each key its newest record that is not refused.
func (w *world) fresh(l logic) map[int]int {
	out := map[int]int{}
	by, refused := 3, "draft"
	if l.n == wrong.n {
		by = 2
	}
	if l.filter == lenient.filter {
		refused = "void"
	}
	for _, r := range w.raws {
		id, _ := strconv.Atoi(string(r.Key))
		var v struct {
			N      any    `json:"n"`
			Status string `json:"status"`
		}
		_ = json.Unmarshal(r.Value, &v)
		switch n, isNumber := v.N.(float64); {
		case r.Value == nil, v.Status == refused:
			delete(out, id)
		case isNumber:
			out[id] = int(n) * by
		}
	}
	return out
}

// want compares the table.
func (w *world) want(rows map[int]int) {
	w.t.Helper()
	if got := w.rows(); !maps.Equal(got, rows) {
		w.t.Errorf("the table is %v, want %v", got, rows)
	}
}

// open is a process that replays with a logic.
func (w *world) open(l logic, name string) *replay.Replay {
	w.t.Helper()
	r, err := replay.Open(w.of(l), "s", w.env(name))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(r.Close)
	return r
}

// work is how tests take part.
func work() replay.Work {
	cfg := processor.DefaultConfig()
	cfg.Sessions, cfg.Interval = 2, 20*time.Millisecond
	return replay.Work{Processor: cfg, Letters: -1, Memory: processor.DefaultRedoMemory}
}

// replay makes a whole redo.
func (w *world) replay(l logic, ask replay.Ask) {
	w.t.Helper()
	r := w.open(l, "redo")
	if _, err := r.Begin(w.t.Context(), ask); err != nil {
		w.t.Fatal(err)
	}
	w.run(r)
}

// run takes part in a redo until it has ended.
func (w *world) run(r *replay.Replay) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 3*time.Minute)
	defer cancel()
	if err := r.Run(ctx, work()); err != nil {
		w.t.Fatal(err)
	}
	if s := w.decided(); s.Redo != nil {
		w.t.Fatalf("a redo is still under way: %+v", s.Redo)
	}
	a, err := sink.OpenAdmin(w.pipeline)
	if err != nil {
		w.t.Fatal(err)
	}
	defer a.Close()
	if on, err := a.Marking(w.t.Context(), "s"); on || err != nil {
		w.t.Errorf("after the redo: marking is %t, %v", on, err)
	}
}

// decided is what is decided about the stream.
func (w *world) decided() *control.Stream {
	w.t.Helper()
	s, err := control.About(w.t.Context(), control.Config{Pipeline: "p", Client: w.env("view").Kafka}, "s")
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// await waits for a state of the redo.
func (w *world) await(state control.RedoState) {
	w.t.Helper()
	testkit.Eventually(w.t, 2*time.Minute, func() error {
		if s := w.decided(); s.Redo == nil || s.Redo.State != state {
			return fmt.Errorf("the redo is %+v, not %s", s.Redo, state)
		}
		return nil
	})
}

// background takes part until stop is called, which returns what Run did.
func (w *world) background(r *replay.Replay, how replay.Work) (stop func() error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan error, 1) // one send, so that it never waits
	go func() { ended <- r.Run(ctx, how) }()
	var err error
	done := false
	stop = func() error {
		if !done {
			cancel()
			err, done = <-ended, true
		}
		return err
	}
	w.t.Cleanup(func() { _ = stop() })
	return stop
}
