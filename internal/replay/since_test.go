package replay_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/letters"
	"github.com/millrace-io/millrace/internal/replay"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// TestSinceOfALetterFromBefore: the topic may have been given more partitions since, so that the key's records are in
// another one.
func TestSinceOfALetterFromBefore(t *testing.T) {
	p := &pipeline.Pipeline{Kafka: pipeline.Kafka{Partitions: 5}}
	key := []byte("4711")
	before := topics.Partition(key, 3)
	l := &letters.Letter{Record: &kgo.Record{Key: key}, Position: topics.RawPosition{InRaw: true, Epoch: 1, Partition: before, Offset: 9}}
	if from := replay.Since(p, &pipeline.Stream{}, 2, []*letters.Letter{l}); from[topics.Partition(key, 5)] != 0 {
		t.Errorf("the current partition is read from %v", from)
	}
	if from := replay.Since(p, &pipeline.Stream{}, 1, []*letters.Letter{l}); from[before] != 9 {
		t.Errorf("in the same epoch it is read from %v", from)
	}
}
