package processor

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
)

// TestAnswersBesideATwin: what the brokers say to a process that has met another of its name is told as that; alone it
// is not.
func TestAnswersBesideATwin(t *testing.T) {
	p := &Processor{env: stage.Env{Instance: "a", Log: slog.New(slog.DiscardHandler)}}
	state := fmt.Errorf("end transaction: %w", kerr.InvalidTxnState)
	if err := p.twin(state); !errors.Is(err, kerr.InvalidTxnState) {
		t.Errorf("%v before there was a twin", err)
	}
	for _, answer := range []error{kerr.ProducerFenced, kerr.FencedInstanceID, kerr.InvalidProducerEpoch, state} {
		if _, ok := errors.AsType[*TwinError](p.twin(answer)); !ok {
			t.Errorf("%v is not told as a twin", answer)
		}
	}
	if err := p.twin(kerr.NotLeaderForPartition); !errors.Is(err, kerr.NotLeaderForPartition) {
		t.Errorf("%v, of what has nothing to do with it", err)
	}
}

// TestRefusedRecordsAreTold: once, at the commit; what is aborted is not told.
func TestRefusedRecordsAreTold(t *testing.T) {
	var log testkit.Buffer
	env := stage.Env{
		Instance: "a", Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: prometheus.NewRegistry(), Health: &stage.Health{},
		File: "my shop.yaml",
	}
	p, err := New(&pipeline.Pipeline{Name: "p", Kafka: pipeline.Kafka{Partitions: 1, MaxRecordBytes: 1 << 20}, Streams: []pipeline.Stream{{
		Name: "s", Ingest: pipeline.Ingest{Key: []string{"id"}},
		Process: []pipeline.Step{{Map: []pipeline.Column{{Name: "id", Expr: "id"}, {Name: "n", Expr: "n * 2"}}}},
		Sink:    pipeline.Sink{Table: "t", Columns: []pipeline.ColumnType{{Name: "id", Type: "bigint", Key: true}, {Name: "n", Type: "int"}}},
	}}}, DefaultConfig(), env)
	if err != nil {
		t.Fatal(err)
	}
	polled := kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: "p.s.raw", Partitions: []kgo.FetchPartition{{}}}}}}
	for i := range 100 {
		part := &polled[0].Topics[0].Partitions[0]
		part.Records = append(part.Records, &kgo.Record{
			Topic: "p.s.raw", Offset: int64(i), Key: fmt.Append(nil, i), Value: fmt.Appendf(nil, `{"id":%d,"n":"x%d"}`, i, i),
		})
	}
	pool, letters := newPool(p, p.streams), 0
	count := func(r *kgo.Record) {
		if r.Topic == "p.s.dlq" {
			letters++
		}
	}
	pool.process(polled, count)
	pool.aborted()
	if got := log.String() + env.Health.Degraded()["processor s"]; got != "" {
		t.Errorf("told of an aborted transaction: %s", got)
	}
	for range 3 {
		pool.process(polled, count)
		pool.committed()
	}
	if letters != 400 {
		t.Fatalf("%d letters, want 400", letters)
	}
	if n := strings.Count(log.String(), "records refused"); n != 1 {
		t.Errorf("the log tells %d times of refused records, want once:\n%s", n, log.String())
	}
	for _, want := range []string{"stream=s", "step=process[0].map.n", "key=0 ", "count=100", "topic=p.s.dlq", `next="millrace dlq list 'my shop.yaml' s"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, log.String())
		}
	}
	if got := env.Health.Degraded()["processor s"]; !strings.HasPrefix(got, "300 records refused, in p.s.dlq; the last: process[0].map.n: ") {
		t.Errorf("health: %q", got)
	}
}
