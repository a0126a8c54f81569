package kafka_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/kafka"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/pipeline"
)

// TestARefusedBatchIsSentAgainSoon: a batch that the broker refuses while it still ends the transaction before is not
// held until the client's next look at the metadata, which may be seconds away.
func TestARefusedBatchIsSentAgainSoon(t *testing.T) {
	cluster := testkafka.New(t)
	testkafka.Topics(t, cluster, 1, "rows")
	opts, err := kafka.Opts(pipeline.Kafka{Brokers: cluster.ListenAddrs()}, "test", slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(append(opts, kgo.DefaultProduceTopic("rows"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	requests := make(chan time.Time, 100)
	cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		requests <- time.Now()
		if len(requests) > 1 {
			return nil, nil, false
		}
		return refuse(req.(*kmsg.ProduceRequest)), nil, true
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := client.ProduceSync(ctx, &kgo.Record{Value: []byte("{}")}).FirstErr(); err != nil || len(requests) != 2 {
		t.Fatalf("%d requests, then: %v", len(requests), err)
	}
	refused := <-requests
	if again := (<-requests).Sub(refused); again > 4*time.Second { // franz-go's default is 5 s
		t.Errorf("sent again after %s", again)
	}
}

// refuse answers as a broker that still writes the markers of a transaction.
func refuse(req *kmsg.ProduceRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.Topics {
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			partition := kmsg.NewProduceResponseTopicPartition()
			partition.Partition, partition.ErrorCode = p.Partition, kerr.ConcurrentTransactions.Code
			topic.Partitions = append(topic.Partitions, partition)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}
