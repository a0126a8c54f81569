package main

import (
	"context"
	"database/sql"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/pipeline/file"
)

//go:embed pipeline.yaml
var pipelineFile []byte

// bench is the settings of a run, and what its measurements share.
type bench struct {
	kafka, mysql, data string
	records, runs      int
	connections        int // of LOAD DATA
	script             string
	rate               int // of replay
	streams            int // of scale
	partitions         int // of each of them

	self, dir string // dir holds the binaries and what the run makes
	flights   *flights
	adm       *kadm.Client
	db        *sql.DB
	serial    int // makes the names of pipelines distinct
	lived     int // records that were measured one by one, of the pipeline in hand
	origins   int // makes the keys of records distinct that are measured one by one
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && strings.HasPrefix(args[0], "limit-") {
		return child(ctx, args[0], args[1:])
	}
	b := &bench{}
	only := flag.String("only", "ingest,processor,sink,whole,latency",
		"what to measure; replay, shadow, beside-replay, beside-shadow, scale, starts, grid, page, budget and slices too")
	flag.StringVar(&b.kafka, "kafka", "127.0.0.1:29092", "broker")
	flag.StringVar(&b.mysql, "mysql", "root:bench@tcp(127.0.0.1:23306)/bench", "DSN of a schema whose tables may be dropped")
	flag.StringVar(&b.data, "data", "", "gzipped NDJSON of all flights; empty: copies of the extract that is shipped")
	flag.IntVar(&b.records, "records", 1_000_000, "records of the workload")
	flag.IntVar(&b.runs, "runs", 3, "runs of each program")
	flag.IntVar(&b.connections, "load-connections", 2, "connections of LOAD DATA")
	flag.StringVar(&b.script, "script", "", "command of a script API → MySQL to compare the whole with; gets BENCH_API, BENCH_MYSQL, BENCH_PAGE, BENCH_CONCURRENCY")
	flag.IntVar(&b.rate, "rate", 2000, "raw records a second of the replay beside which latency is measured")
	flag.IntVar(&b.streams, "streams", 10, "streams of scale")
	flag.IntVar(&b.partitions, "partitions", 100, "partitions of each stream of scale")
	flag.Parse()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer b.close()
	measures := map[string]func(context.Context) error{
		"ingest": b.ingest, "processor": b.processor, "sink": b.sink, "whole": b.whole, "latency": b.latency, "scale": b.scale, "starts": b.starts,
		"replay": b.replay, "shadow": b.shadow, "beside-replay": b.besideReplay, "beside-shadow": b.besideShadow,
		"grid": b.grid, "page": b.page, "budget": b.budget, "slices": b.slices,
	}
	for name := range strings.SplitSeq(*only, ",") {
		measure, ok := measures[name]
		if !ok {
			return fmt.Errorf("-only: %q is no measurement", name)
		}
		if err := measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// prepare builds the binaries, loads the workload and connects.
func (b *bench) prepare(ctx context.Context) (err error) {
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "millrace-bench-"); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", b.dir)
	for _, stage := range []string{"ingest", "processor", "sink", "millrace"} {
		build.Args = append(build.Args, "github.com/millrace-io/millrace/cmd/"+stage)
	}
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w:\n%s", err, out)
	}
	if b.flights, err = loadFlights(b.data, b.records); err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.kafka))
	if err != nil {
		return err
	}
	b.adm = kadm.NewClient(client)
	if b.db, err = sql.Open("mysql", b.mysql); err != nil {
		return err
	}
	ready, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	for client.Ping(ready) != nil || b.db.PingContext(ready) != nil {
		select {
		case <-ready.Done():
			return fmt.Errorf("no Kafka at %s or no MySQL at its DSN; `make bench` starts both", b.kafka)
		case <-time.After(200 * time.Millisecond):
		}
	}
	fmt.Printf("%d records of %d flights, %d runs each; thousands a second\n", b.records, len(b.flights.lines), b.runs)
	return nil
}

func (b *bench) close() {
	b.adm.Close()
	_ = b.db.Close()
	_ = os.RemoveAll(b.dir)
}

// pipeline writes the pipeline file under a new name, so that its topics, groups and state are new, and
// returns it with the environment that the file refers to.
func (b *bench) pipeline(api string, page, concurrency int) (*pipeline.Pipeline, string, []string, error) {
	b.serial++
	vars := map[string]string{
		"BENCH_PIPELINE": fmt.Sprintf("bench-%d-%d", os.Getpid(), b.serial),
		"BENCH_KAFKA":    b.kafka, "BENCH_MYSQL": b.mysql, "BENCH_API": api,
		"BENCH_PAGE": strconv.Itoa(page), "BENCH_CONCURRENCY": strconv.Itoa(concurrency),
	}
	var env []string
	for k, v := range vars {
		env = append(env, k+"="+v)
	}
	path := filepath.Join(b.dir, "pipeline.yaml")
	if err := os.WriteFile(path, pipelineFile, 0o600); err != nil {
		return nil, "", nil, err
	}
	p, err := file.Parse(path, pipelineFile, func(name string) (string, bool) { v, ok := vars[name]; return v, ok })
	return p, path, env, err
}

// stage starts a stage of millrace.
func (b *bench) stage(env []string, name, path string) (*process, error) {
	return start(env, filepath.Join(b.dir, name), path, "--listen", "127.0.0.1:0")
}

// forget deletes the topics of a pipeline and its rows, so that the next measurement finds the disk as this one did.
func (b *bench) forget(ctx context.Context, p *pipeline.Pipeline) {
	if all, err := b.adm.ListTopics(ctx); err == nil {
		for _, t := range all.Names() {
			if strings.HasPrefix(t, p.Name+".") {
				_, _ = b.adm.DeleteTopics(ctx, t)
			}
		}
	}
	b.drop(ctx)
}

func (b *bench) drop(ctx context.Context) {
	for _, t := range []string{table, table + "__g1", table + "__g2", table + "__g3", "millrace_swaps", "millrace_offsets", "millrace_marks", "millrace_owners", "millrace_tables", "millrace_caught_up"} {
		_, _ = b.db.ExecContext(ctx, "DROP TABLE IF EXISTS "+t)
	}
}
