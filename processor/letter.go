package processor

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/processor/steps"
	"github.com/millrace-io/millrace/topics"
)

// letter is the dead letter of a raw record. It always fits: of an origin that the topic could not hold, the largest of
// value, headers and key is left out. The letter's id says where in the raw topic it is.
func (s *stream) letter(raw *kgo.Record, version topics.Version, err error) *kgo.Record {
	step, reason := refusal(err)
	l := topics.Letter{Stage: stageName, Generation: s.generation, Step: step, Reason: reason, Attempt: max(1, s.attempt)}
	id := topics.LetterID(stageName, raw.Topic, version.Epoch(), raw.Partition, raw.Offset)
	cut := *raw
	out := l.Record(s.letters, id, &cut)
	for recordBytes(out) > s.maxLetter {
		what, bytes := dropLargest(&cut)
		l.Reason = fmt.Sprintf("[%s of the record, %d bytes, did not fit in this letter: see %s, partition %d, offset %d] %s",
			what, bytes, raw.Topic, raw.Partition, raw.Offset, l.Reason)
		out = l.Record(s.letters, id, &cut)
	}
	return out
}

// refusal says where and why a record was refused.
func refusal(err error) (step, reason string) {
	if at, ok := errors.AsType[*steps.RefusedError](err); ok {
		return at.Step, at.Err.Error()
	}
	return "process", err.Error()
}

// dropLargest empties the largest of value, headers and key.
func dropLargest(r *kgo.Record) (what string, bytes int) {
	headers := 0
	for i := range r.Headers {
		headers += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	switch bytes = max(len(r.Value), headers, len(r.Key)); bytes {
	case len(r.Value):
		r.Value = nil
		return "value", bytes
	case headers:
		r.Headers = nil
		return "headers", bytes
	}
	r.Key = nil
	return "key", bytes
}

// recordBytes is what a record takes alone in a batch, at most.
func recordBytes(r *kgo.Record) int {
	const batch, lengths = 61, 35 // of a batch's header; of a record's numbers
	n := batch + lengths + len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += 10 + len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}
