package testservers

import (
	"context"
	"fmt"
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

func startKafka(ctx context.Context) (*container, error) {
	return run(ctx, "Kafka", kafkaImage, kafkaPort, kafkaReady, func(addr string) []testcontainers.ContainerCustomizer {
		return []testcontainers.ContainerCustomizer{testcontainers.WithEnv(map[string]string{
			"KAFKA_NODE_ID":       "1",
			"KAFKA_PROCESS_ROLES": "broker,controller",
			// The broker talks to itself too, for transactions, and cannot by the address that the host sees.
			"KAFKA_LISTENERS":                                "PLAINTEXT://:9092,CONTROLLER://:9093,BROKER://:9094",
			"KAFKA_ADVERTISED_LISTENERS":                     "PLAINTEXT://" + addr + ",BROKER://localhost:9094",
			"KAFKA_INTER_BROKER_LISTENER_NAME":               "BROKER",
			"KAFKA_CONTROLLER_LISTENER_NAMES":                "CONTROLLER",
			"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":           "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,BROKER:PLAINTEXT",
			"KAFKA_CONTROLLER_QUORUM_VOTERS":                 "1@localhost:9093",
			"KAFKA_LOG_DIRS":                                 "/var/lib/kafka/data",
			"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":         "1",
			"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
			"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":            "1",
			"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":         "0",
			// A test that names a topic wrongly must see it fail.
			"KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
		})}
	})
}

// kafkaReady asks the broker for its metadata, which names a broker once it has joined its controller.
func kafkaReady(ctx context.Context, addr string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
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
