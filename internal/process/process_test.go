package process_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/process"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/pipeline/file"
)

func shop(t *testing.T, servers string) *pipeline.Pipeline {
	t.Helper()
	p, err := file.Parse("shop.yaml", []byte("pipeline: shop\ndata_dir: "+filepath.Join(t.TempDir(), "shop")+"\n"+servers+`
http: {base_url: "http://127.0.0.1:1"}
streams:
  orders:
    ingest: {path: /orders, key: id, every: 1h}
    sink: {table: orders, columns: {id: bigint key}}
`), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func options(stages ...string) process.Options {
	return process.Options{Stages: stages, Instance: "test", Drain: 5 * time.Second, Log: slog.New(slog.DiscardHandler)}
}

func TestWhatCannotWorkIsRefused(t *testing.T) {
	const kafka = "kafka: {brokers: [localhost:9092]}"
	for name, c := range map[string]struct {
		servers string
		options process.Options
		words   []string
	}{
		"ingest on embedded Kafka": {"", options(process.Ingest), []string{"ingest alone", "kafka.brokers", "`millrace run`"}},
		"sink on SQLite":           {kafka, options(process.Sink), []string{"sink alone", "database.mysql", "`millrace run`"}},
		"unknown stream":           {kafka, func() process.Options { o := options(process.Ingest); o.Streams = []string{"order"}; return o }(), []string{"--streams", `"order"`, `"orders"`}},
		"name of odd letters":      {kafka, func() process.Options { o := options(process.Ingest); o.Instance = "a b"; return o }(), []string{"--instance", "a b"}},
		"a negative drain":         {kafka, func() process.Options { o := options(process.Ingest); o.Drain = -1; return o }(), []string{"--drain-timeout"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := shop(t, c.servers)
			_, err := process.New(t.Context(), p, c.options)
			if _, ok := errors.AsType[*process.RefusedError](err); !ok {
				t.Fatalf("%v, want a RefusedError", err)
			}
			for _, w := range c.words {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %s", err, w)
				}
			}
			if _, err := os.Stat(p.DataDir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s was made", p.DataDir)
			}
		})
	}
}

// What New took before an error is given back: the directory, the port, the broker.
func TestAFailedStartLeavesNothing(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", fmt.Sprint("127.0.0.1:", testkit.FreePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	p := shop(t, "")
	o := options(process.All...)
	o.Listen = taken.Addr().String()
	if _, err := process.New(t.Context(), p, o); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Fatalf("%v, want an error that names --listen", err)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	x, err := process.New(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := x.Run(ctx); err != nil {
		t.Error(err)
	}
	again, err := process.New(t.Context(), p, o) // the port and the directory are free
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Run(ctx); err != nil {
		t.Error(err)
	}
}
