package lines_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testworld"
	"github.com/millrace-io/millrace/topics"
)

// TestABarrierLooksAtTheWatermark: brokers show the offsets of a transaction before its records are stable. What is
// below a barrier and not in the table yet holds it up all the same.
func TestABarrierLooksAtTheWatermark(t *testing.T) {
	w := newWorld(t, 1)
	w.Processor(w.Of(before), w.Env("processor"))
	stop := w.Sink(w.Of(before), w.Env("sink"))
	w.Write(testworld.Raw(1, "open", 1), testworld.Raw(2, "open", 1))
	w.Becomes("t", logicBefore)
	stop()
	processed := topics.Processed(w.Name, "s")
	ends, err := kadm.NewClient(w.Client).ListEndOffsets(t.Context(), processed)
	if err != nil {
		t.Fatal(err)
	}
	stable, _ := ends.Lookup(processed, 0)
	w.lag(processed, stable.Offset)

	w.Write(testworld.Raw(3, "open", 1))
	gauge, err := lines.NewGauge(w.Of(before), w.Client, w.Env("gauge"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gauge.Close)
	below, err := gauge.Raw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, testworld.Patience, func() error {
		if next, err := gauge.Next(t.Context()); err != nil || next[0] < below[0] {
			return fmt.Errorf("the processor is at %v of %v: %w", next, below, err)
		}
		return nil
	})
	if passed, err := gauge.Barrier(below).Passed(t.Context()); passed || err != nil {
		t.Errorf("passed %t, %v; the table lacks a record", passed, err)
	}
	w.Process(before, "sink")
	ctx, cancel := context.WithTimeout(t.Context(), testworld.Patience)
	defer cancel()
	if err := gauge.Await(ctx, below); err != nil {
		t.Error(err)
	}
	w.Becomes("t", logicBefore)
}

// lag has the broker say from now on that a topic is stable below an offset only. It still serves what is above.
func (w *world) lag(topic string, offset int64) {
	const readCommitted = 1
	w.Cluster.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.Cluster.KeepControl()
		ask, ok := r.(*kmsg.ListOffsetsRequest)
		if !ok || ask.IsolationLevel != readCommitted || len(ask.Topics) != 1 || ask.Topics[0].Topic != topic || ask.Topics[0].Partitions[0].Timestamp != -1 {
			return nil, nil, false
		}
		answer := ask.ResponseKind().(*kmsg.ListOffsetsResponse)
		of, partition := kmsg.NewListOffsetsResponseTopic(), kmsg.NewListOffsetsResponseTopicPartition()
		of.Topic, partition.Offset, partition.Timestamp = topic, offset, time.Now().UnixMilli()
		of.Partitions = append(of.Partitions, partition)
		answer.Topics = append(answer.Topics, of)
		return answer, nil, true
	})
}
