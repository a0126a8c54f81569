package embedded_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/embedded"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// shop is a pipeline with one stream and embedded servers in dir.
func shop(dir string) *pipeline.Pipeline {
	return &pipeline.Pipeline{
		Name: "shop", DataDir: dir, Database: pipeline.Database{Embedded: true},
		Kafka:   pipeline.Kafka{Embedded: true, Partitions: 3, Replication: -1, MaxRecordBytes: 1 << 20},
		Streams: []pipeline.Stream{{Name: "orders"}},
	}
}

func start(t *testing.T, p *pipeline.Pipeline) *embedded.Servers {
	t.Helper()
	s, err := embedded.Start(t.Context(), p, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func client(t *testing.T, p *pipeline.Pipeline, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(p.Kafka.Brokers...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.CloseAllowingRebalance)
	return cl
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestStartIsFast(t *testing.T) {
	best := time.Hour
	for range 3 { // the machine may be busy with something else
		begin := time.Now()
		s := start(t, shop(t.TempDir()))
		best = min(best, time.Since(begin))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if best > 5*time.Second { // a tenth of a second alone; the fault is a start that waits for something
		t.Errorf("started in %v, want 100ms or so", best)
	}
	t.Logf("started in %v", best)
}

func TestADirectoryServesOneProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shop")
	first := start(t, shop(dir))
	_, err := embedded.Start(t.Context(), shop(dir), slog.New(slog.DiscardHandler))
	var locked *embedded.LockedError
	if !errors.As(err, &locked) || locked.Dir != dir || locked.PID != os.Getpid() {
		t.Fatalf("%v, want a LockedError with %s and %d", err, dir, os.Getpid())
	}
	for _, word := range []string{dir, "process", "data_dir", "kafka.brokers"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %s", err, word)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, shop(dir))
}

func TestTheAddressStaysIfItCan(t *testing.T) {
	dir := t.TempDir()
	p := shop(dir)
	if err := start(t, p).Close(); err != nil {
		t.Fatal(err)
	}
	first := p.Kafka.Brokers[0]
	if !strings.HasPrefix(first, "127.0.0.1:") {
		t.Errorf("listens on %s", first)
	}

	again := shop(dir)
	if err := start(t, again).Close(); err != nil {
		t.Fatal(err)
	}
	if again.Kafka.Brokers[0] != first {
		t.Errorf("listens on %s after %s", again.Kafka.Brokers[0], first)
	}

	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", first)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	elsewhere := shop(dir)
	start(t, elsewhere)
	if elsewhere.Kafka.Brokers[0] == first {
		t.Errorf("listens on %s, which is taken", first)
	}
	if err := client(t, elsewhere).Ping(soon(t)); err != nil {
		t.Error(err)
	}
}

func TestNothingEmbeddedTouchesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shop")
	p := shop(dir)
	p.Kafka = pipeline.Kafka{Brokers: []string{"kafka:9092"}}
	p.Database = pipeline.Database{MySQL: "user:password@tcp(mysql)/shop"}
	start(t, p)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("made %s", dir)
	}
	if p.Kafka.Brokers[0] != "kafka:9092" {
		t.Errorf("brokers are now %v", p.Kafka.Brokers)
	}
}

func TestAnEmbeddedDatabaseAloneIsLockedToo(t *testing.T) {
	p := shop(t.TempDir())
	p.Kafka = pipeline.Kafka{Brokers: []string{"kafka:9092"}}
	start(t, p)
	_, err := embedded.Start(t.Context(), p, slog.New(slog.DiscardHandler))
	if _, ok := errors.AsType[*embedded.LockedError](err); !ok {
		t.Errorf("%v, want a LockedError", err)
	}
}

// A clean restart keeps the topics with their settings, and the cleaner's interval and offset retention.
func TestSettingsHoldAfterARestart(t *testing.T) {
	dir := t.TempDir()
	p := shop(dir)
	s := start(t, p)
	if err := admin.Ensure(soon(t), kadm.NewClient(client(t, p)), topics.Specs(p)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	p = shop(dir)
	start(t, p)
	adm := kadm.NewClient(client(t, p))
	if err := admin.Ensure(soon(t), adm, topics.Specs(p)); err != nil {
		t.Error(err)
	}
	described, err := adm.DescribeBrokerConfigs(soon(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"log.cleaner.backoff.ms": "60000", "offsets.retention.minutes": "5256000"}
	for _, resource := range described {
		for _, c := range resource.Configs {
			if value, ok := want[c.Key]; ok && c.MaybeValue() == value {
				delete(want, c.Key)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("lost %v", want)
	}
}
