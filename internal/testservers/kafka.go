package testservers

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/testcontainers/testcontainers-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	kafkaImage = "apache/kafka:4.3.1"
	kafkaPort  = "9092/tcp"

	insideKafka = "localhost:9094" // where the broker talks to itself

	// EnvKafka names a running Kafka to use instead of the shared container: host:port, separated by commas.
	EnvKafka = "MILLRACE_TEST_KAFKA"
)

// Kafka returns the brokers that the tests of this process share. Take topic and group names from Unique.
func Kafka(t testing.TB) []string {
	t.Helper()
	if running := os.Getenv(EnvKafka); running != "" {
		return strings.Split(running, ",")
	}
	needDocker(t)
	s, err := sharedKafka()
	if err != nil {
		t.Fatal(err)
	}
	return []string{s.addr}
}

var sharedKafka = sync.OnceValues(func() (*container, error) { return share(startKafka) })

// KafkaServer is a broker of a test's own.
type KafkaServer struct{ *container }

// NewKafka starts a broker for this test, with its data on disk. It is removed when the test ends.
func NewKafka(t testing.TB) *KafkaServer {
	t.Helper()
	return &KafkaServer{own(t, startKafka)}
}

// Brokers returns the address, which stays the same when the server is started again.
func (s *KafkaServer) Brokers() []string { return []string{s.addr} }

func startKafka(ctx context.Context) (*container, error) { return startBroker(ctx, nil) }

// startBroker starts a broker with settings of the caller's, which win.
func startBroker(ctx context.Context, settings map[string]string, login ...kgo.Opt) (*container, error) {
	ready := func(ctx context.Context, addr string) error { return kafkaReady(ctx, addr, login...) }
	return run(ctx, "Kafka", kafkaImage, kafkaPort, ready, func(addr string) []testcontainers.ContainerCustomizer {
		env := map[string]string{
			"KAFKA_NODE_ID":       "1",
			"KAFKA_PROCESS_ROLES": "broker,controller",
			// The broker talks to itself too, for transactions, and cannot by the address that the host sees.
			"KAFKA_LISTENERS":                                "CLIENT://:9092,CONTROLLER://:9093,BROKER://:9094",
			"KAFKA_ADVERTISED_LISTENERS":                     "CLIENT://" + addr + ",BROKER://" + insideKafka,
			"KAFKA_INTER_BROKER_LISTENER_NAME":               "BROKER",
			"KAFKA_CONTROLLER_LISTENER_NAMES":                "CONTROLLER",
			"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":           "CONTROLLER:PLAINTEXT,CLIENT:PLAINTEXT,BROKER:PLAINTEXT",
			"KAFKA_CONTROLLER_QUORUM_VOTERS":                 "1@localhost:9093",
			"KAFKA_LOG_DIRS":                                 "/var/lib/kafka/data",
			"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":         "1",
			"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
			"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":            "1",
			"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":         "0",
			// A test that names a topic wrongly must see it fail.
			"KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
		}
		maps.Copy(env, settings)
		return []testcontainers.ContainerCustomizer{testcontainers.WithEnv(env)}
	})
}

// kafkaReady asks the broker for its metadata, which names a broker once it has joined its controller.
func kafkaReady(ctx context.Context, addr string, login ...kgo.Opt) error {
	cl, err := kgo.NewClient(append(login, kgo.SeedBrokers(addr))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	brokers, err := kadm.NewClient(cl).ListBrokers(ctx)
	if err == nil && len(brokers) == 0 {
		err = fmt.Errorf("%s has no broker yet", addr)
	}
	return err
}
