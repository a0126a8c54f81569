package kafka_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/kafka"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/pipeline"
)

func TestSeveralClientsShareARegistry(t *testing.T) {
	cluster := testkafka.New(t)
	reg := prometheus.NewRegistry()
	opts, err := kafka.Opts(pipeline.Kafka{Brokers: cluster.ListenAddrs()}, "test", slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	more, err := kafka.Opts(pipeline.Kafka{Brokers: cluster.ListenAddrs()}, "other", slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, opts := range [][]kgo.Opt{opts, opts, more} {
		client, err := kgo.NewClient(opts...)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Ping(context.Background()); err != nil {
			t.Error(err)
		}
		client.Close()
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "millrace_kafka_connects_total" && f.GetMetric()[0].GetCounter().GetValue() < 3 {
			t.Errorf("three clients opened %v connections", f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	if len(families) != 4 {
		t.Errorf("%d metrics, want 4", len(families))
	}
}

func TestOptsSaysWhatIsWrong(t *testing.T) {
	for want, k := range map[string]pipeline.Kafka{
		"kafka.brokers":        {},
		"kafka.tls.ca_file":    {Brokers: []string{"b:1"}, TLS: &pipeline.TLS{CAFile: "testdata/none.pem"}},
		"kafka.sasl.mechanism": {Brokers: []string{"b:1"}, SASL: &pipeline.SASL{Mechanism: "NTLM", Password: "hush"}},
	} {
		_, err := kafka.Opts(k, "test", slog.Default(), nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%v, want an error about %s", err, want)
		}
	}
}

func TestADeadBrokerIsLoggedOnce(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	opts, err := kafka.Opts(pipeline.Kafka{Brokers: []string{"127.0.0.1:1"}}, "test", log, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(append(opts, kgo.RecordRetries(1))...)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if client.Ping(context.Background()) == nil {
			t.Fatal("a broker answered on port 1")
		}
	}
	client.Close()
	// it is told again after half a minute
	if n := strings.Count(out.String(), "unable to open connection to broker"); n > 3 {
		t.Errorf("said %d times:\n%s", n, out.String())
	}
}
