package processor

import (
	"fmt"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor/redo"
	"github.com/millrace-io/millrace/processor/steps"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// stream is what is known of a stream beforehand, and what was decided about it when a session began. It is read-only.
type stream struct {
	name       string
	file       *pipeline.Stream
	logic      string // of file, as [pipeline.Stream.Logic]
	processed  string // topic
	letters    string // topic
	generation uint16
	epoch      uint16 // of the raw topic
	maxBytes   int    // of a processed record
	maxLetter  int    // of a dead letter
	chain      *steps.Chain
	counters   counters

	stands   bool   // it is not to be processed
	matters  string // see matters
	decided  *control.Stream
	position topics.Position // of all that is committed
	metadata string          // position, as it is committed

	// In a redo, marks are of the records of a partition that are processed; nil: all are.
	marks   func(partition int32) *redo.Marks
	attempt int // of its letters; 0: 1
	// a record for which a filter never lets a revision through is one without rows: another logic may have made one
	again bool
}

func newStream(p *pipeline.Pipeline, s *pipeline.Stream, m *metrics) (*stream, error) {
	chain, err := steps.Compile(s)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", s.Name, err)
	}
	logic, _ := s.Logic()
	return &stream{
		name:      s.Name,
		file:      s,
		logic:     logic,
		processed: topics.Processed(p.Name, s.Name),
		letters:   topics.DeadLetters(p.Name, s.Name),
		maxBytes:  int(p.Kafka.MaxRecordBytes),
		maxLetter: int(p.Kafka.MaxRecordBytes) + topics.LetterBytes,
		chain:     chain,
		counters:  m.of(s.Name),
	}, nil
}
