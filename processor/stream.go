package processor

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// stream is what is known of a stream beforehand. It is read-only.
type stream struct {
	name       string
	processed  string // topics
	letters    string
	generation uint16
	maxBytes   int // of a processed record
	maxLetter  int // of a dead letter
	chain      *Chain
	counters   counters
}

func newStream(p *pipeline.Pipeline, s *pipeline.Stream, m *metrics) (*stream, error) {
	chain, err := CompileSteps(s)
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

// worker makes the outcomes of one stream's records. One goroutine may use it at a time.
type worker struct {
	stream *stream
	runner *Runner
	arena  *arena
	counts counts
}

// outcome returns the record to be produced for a raw record: processed, or a dead letter; nil: none.
func (w *worker) outcome(raw *kgo.Record) *kgo.Record {
	w.counts.records++
	version, err := topics.RawVersion(raw, w.stream.generation)
	if err != nil {
		return w.letter(raw, version, &StepError{"headers", err})
	}
	var value, pk []byte
	if raw.Value == nil {
		pk, err = w.tombstone(raw)
	} else {
		value, pk, err = w.columns(raw)
	}
	if err != nil {
		return w.letter(raw, version, err)
	}
	if value == nil && pk == nil {
		w.counts.filtered++
		return nil
	}
	out := w.record(raw, version, value, pk)
	if n := recordBytes(out); n > w.stream.maxBytes {
		return w.letter(raw, version, &StepError{"process", fmt.Errorf(
			"the processed record has %d bytes; at most %d are allowed (kafka.max_record_bytes)", n, w.stream.maxBytes)})
	}
	if value != nil {
		w.counts.rows++
	} else if raw.Value != nil {
		w.counts.filtered++
	}
	return out
}

// columns returns value, the columns of a record with a row; pk of one without; neither, where nothing is sent.
func (w *worker) columns(raw *kgo.Record) (value, pk []byte, err error) {
	free := w.arena.free()
	out, outcome, err := w.runner.Apply(free, raw.Value)
	if err != nil {
		return nil, nil, err
	}
	switch outcome {
	case Row:
		return w.arena.take(out), nil, nil
	case Nothing:
		return nil, nil, nil
	case NoRow:
		if pk, err = w.runner.AppendPK(free); err != nil {
			return nil, nil, err
		}
		return nil, w.arena.take(pk), nil
	}
	return nil, nil, fmt.Errorf("outcome %d", outcome)
}

var errNoKey = errors.New("a record without value and key says nothing")

func (w *worker) tombstone(raw *kgo.Record) ([]byte, error) {
	if raw.Key == nil {
		return nil, &StepError{"record", errNoKey}
	}
	pk, err := w.runner.AppendTombstonePK(w.arena.free(), raw.Key)
	if err != nil {
		return nil, err
	}
	return w.arena.take(pk), nil
}

// traceparent links spans across topics (W3C Trace Context).
const traceparent = "traceparent"

// record has raw's key and partition. Without a value it has pk.
func (w *worker) record(raw *kgo.Record, version topics.Version, value, pk []byte) *kgo.Record {
	out := w.arena.record()
	*out = kgo.Record{Topic: w.stream.processed, Partition: raw.Partition, Key: raw.Key, Value: value}
	headers := append(w.arena.headers(), kgo.RecordHeader{
		Key: topics.HeaderVersion, Value: w.arena.take(append(w.arena.free(), version[:]...)),
	})
	if value == nil {
		headers = append(headers, kgo.RecordHeader{Key: topics.HeaderPK, Value: pk})
	}
	for i := range raw.Headers {
		if raw.Headers[i].Key == traceparent {
			headers = append(headers, raw.Headers[i])
			break
		}
	}
	out.Headers = w.arena.takeHeaders(headers)
	return out
}

// letter is the dead letter of a raw record. It always fits: of an origin that the topic could not hold, what
// is largest is left out; it stays in the raw topic, where the letter's id finds it.
func (w *worker) letter(raw *kgo.Record, version topics.Version, err error) *kgo.Record {
	w.counts.letters++
	step := "process"
	if at, ok := errors.AsType[*StepError](err); ok {
		step, err = at.Step, at.Err
	}
	l := topics.Letter{Stage: stageName, Generation: w.stream.generation, Step: step, Reason: err.Error(), Attempt: 1}
	id := topics.LetterID(stageName, raw.Topic, version.Epoch(), raw.Partition, raw.Offset)
	cut := *raw
	out := l.Record(w.stream.letters, id, &cut)
	for recordBytes(out) > w.stream.maxLetter {
		part, bytes := dropLargest(&cut)
		l.Reason = fmt.Sprintf("[%s of the record, %d bytes, did not fit in this letter: see %s, partition %d, offset %d] %s",
			part, bytes, raw.Topic, raw.Partition, raw.Offset, l.Reason)
		out = l.Record(w.stream.letters, id, &cut)
	}
	return out
}

// dropLargest empties the largest of value, headers and key.
func dropLargest(r *kgo.Record) (part string, bytes int) {
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

func newWorker(s *stream, a *arena) *worker {
	return &worker{stream: s, runner: s.chain.Runner(), arena: a}
}

var _ Step = (*Runner)(nil)
