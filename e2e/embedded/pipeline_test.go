package embedded_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	_ "modernc.org/sqlite"

	"github.com/millrace-io/millrace/internal/process"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/pipeline/file"
	"github.com/millrace-io/millrace/topics"
)

// streams are one for each way to walk through an API. Each is a path, a topic and a table.
var streams = []struct{ name, ingest string }{
	{"pages", `paginate: {page: {param: page, size: 50, stop: short}}, concurrency: 4`},
	{"offsets", `paginate: {offset: {param: offset, limit_param: limit, limit: 60, stop: {total: meta.total}}}, concurrency: 4`},
	{"cursors", `paginate: {cursor: {next: next, param: after}}`},
	{"links", `paginate: link`},
	{"changes", `incremental: {field: changed, param: since, start: 0, format: integer}, slices: {region: [eu, us]}, disjoint: true, query: {region: "{region}"}`},
}

// write writes the pipeline file.
func write(t *testing.T, dir, url string) (path string) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, `pipeline: shop
data_dir: %s
http: {base_url: "%s", retry: {initial: 5ms, max: 50ms, attempts: 5}}
defaults: {ingest: {key: id, every: 100ms, version: rev}}
streams:
`, filepath.Join(dir, "data"), url)
	for _, s := range streams {
		fmt.Fprintf(&b, `  %s:
    ingest: {path: /%s, records: data, %s}
    process:
      - filter: status != "draft"
      - map: {id: id, rev: rev, twice: cents * 2, name: lower(name)}
    sink: {columns: {id: bigint key, rev: bigint, twice: bigint, name: varchar(100)}}
`, s.name, s.name, s.ingest)
	}
	path = filepath.Join(dir, "shop.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// options are the same in every process, so that the one that comes back is known again.
func options(log *slog.Logger) process.Options {
	return process.Options{Stages: process.All, Instance: "test", Drain: 20 * time.Second, Log: log}
}

// run runs the pipeline in this process until stop is called, which drains it.
func run(t *testing.T, path string) (p *pipeline.Pipeline, stop func()) {
	t.Helper()
	p, err := file.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	x, err := process.New(t.Context(), p, options(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	return p, testkit.Run(t, x.Run)
}

// table reads a stream's table beside the sink.
func table(ctx context.Context, p *pipeline.Pipeline, stream string) (map[int64]row, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(p.DataDir, "millrace.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	found, err := db.QueryContext(ctx, "SELECT id, rev, twice, name FROM "+stream)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	rows := map[int64]row{}
	for found.Next() {
		var r row
		if err := found.Scan(&r.ID, &r.Rev, &r.Double, &r.Name); err != nil {
			return nil, err
		}
		rows[r.ID] = r
	}
	return rows, found.Err()
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// position names a raw record.
type position struct {
	partition int32
	offset    int64
}

// outcomes counts what became of each raw record: processed records and dead letters by the position of their origin.
func outcomes(t *testing.T, p *pipeline.Pipeline, stream string) map[position]int {
	t.Helper()
	out := map[position]int{}
	for _, r := range testkit.Records(t, p.Kafka.Brokers, topics.Processed(p.Name, stream)) {
		v, err := topics.ParseVersion([]byte(header(r, topics.HeaderVersion)))
		if err != nil {
			t.Fatal(err)
		}
		out[position{r.Partition, v.Offset()}]++
	}
	for _, r := range testkit.Records(t, p.Kafka.Brokers, topics.DeadLetters(p.Name, stream)) {
		id := header(r, topics.HeaderID)
		var offset int64
		if _, err := fmt.Sscanf(id[strings.LastIndex(id, ":")+1:], "%d", &offset); err != nil || !strings.HasPrefix(id, "processor:") {
			t.Fatalf("letter %q: %v", id, err)
		}
		if string(r.Key) != fmt.Sprint(poison) {
			t.Errorf("%s: letter for %s: %s", stream, r.Key, header(r, topics.HeaderReason))
		}
		out[position{r.Partition, offset}]++
	}
	return out
}
