package processor

import (
	"fmt"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor/redo"
	"github.com/millrace-io/millrace/processor/steps"
	"github.com/millrace-io/millrace/topics"
)

// stream is what is known of a stream beforehand. It is read-only.
type stream struct {
	name       string
	processed  string // topic
	letters    string // topic
	generation uint16
	maxBytes   int // of a processed record
	maxLetter  int // of a dead letter
	chain      *steps.Chain
	counters   counters

	// In a redo, marks are of the records of a partition that are processed; nil: all are.
	marks func(partition int32) *redo.Marks
	again bool // a record for which a filter never lets a revision through is one without rows: another logic may have made one
}

func newStream(p *pipeline.Pipeline, s *pipeline.Stream, m *metrics) (*stream, error) {
	chain, err := steps.Compile(s)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", s.Name, err)
	}
	return &stream{
		name:       s.Name,
		processed:  topics.Processed(p.Name, s.Name),
		letters:    topics.DeadLetters(p.Name, s.Name),
		generation: s.Generation,
		maxBytes:   int(p.Kafka.MaxRecordBytes),
		maxLetter:  int(p.Kafka.MaxRecordBytes) + topics.LetterBytes,
		chain:      chain,
		counters:   m.of(s.Name),
	}, nil
}
