package processor

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/processor/steps"
	"github.com/millrace-io/millrace/topics"
)

// worker makes the outcomes of one stream's records. One goroutine may use it at a time.
type worker struct {
	stream *stream
	runner *steps.Runner
	arena  *arena
	counts counts
	// refused are the letters of the transaction under way.
	refused stage.Batch
	out     []*kgo.Record // the outcome in hand
}

func newWorker(s *stream, a *arena) *worker {
	return &worker{stream: s, runner: s.chain.Runner(), arena: a}
}

// outcome returns the records to be produced for a raw record: processed ones, or a dead letter, or none. They are
// listed until the next call.
func (w *worker) outcome(raw *kgo.Record) []*kgo.Record {
	w.counts.records++
	w.out = w.out[:0]
	version, err := topics.RawVersion(raw, w.stream.epoch, w.stream.generation)
	if err != nil {
		err = &steps.RefusedError{Step: "headers", Err: err}
	} else {
		err = w.process(raw, version)
	}
	if err != nil {
		w.counts.letters++
		step, reason := refusal(err)
		w.refused.Add(w.stream.name, step, reason, string(raw.Key))
		w.out = append(w.out[:0], w.stream.letter(raw, version, err))
	}
	return w.out
}

// process adds what becomes of a raw record. The error says why it is refused; then what was added does not count.
func (w *worker) process(raw *kgo.Record, version topics.Version) error {
	if raw.Value == nil {
		return w.tombstone(raw, version)
	}
	slice, _ := topics.Header(raw, topics.HeaderSlice)
	made, err := w.runner.Apply(w.arena.free(), raw.Value, slice)
	switch {
	case err != nil:
		return err
	case len(made.Rows) > 0:
		if err := w.emit(raw, version, w.value(made.Rows), nil); err != nil {
			return err
		}
		w.counts.rows++
		return nil
	case !made.Never || w.stream.again:
		pk, err := w.runner.AppendPK(w.arena.free())
		if err != nil && made.Never {
			break // no row is found by it
		}
		if err != nil {
			return err
		}
		if err := w.emit(raw, version, nil, w.arena.keep(pk)); err != nil {
			return err
		}
	}
	w.counts.filtered++
	return nil
}

// value is the value of a processed record: its row, or an array of its rows.
func (w *worker) value(rows [][]byte) []byte {
	if len(rows) == 1 {
		return w.arena.keep(rows[0])
	}
	array := append([]byte{'['}, bytes.Join(rows, []byte{','})...)
	return append(array, ']')
}

var errNoKey = errors.New("a record without value and key says nothing")

// tombstone adds the record that removes the row of a key.
func (w *worker) tombstone(raw *kgo.Record, version topics.Version) error {
	if raw.Key == nil {
		return &steps.RefusedError{Step: "record", Err: errNoKey}
	}
	pk, err := w.runner.AppendTombstonePK(w.arena.free(), raw.Key)
	if err != nil {
		return err
	}
	return w.emit(raw, version, nil, w.arena.keep(pk))
}

// emit adds a processed record with raw's key and partition. Without a value it has pk. It refuses one that the topic
// cannot hold.
func (w *worker) emit(raw *kgo.Record, version topics.Version, value, pk []byte) error {
	out := w.record(raw, version, value, pk)
	if n := recordBytes(out); n > w.stream.maxBytes {
		return &steps.RefusedError{Step: "process", Err: fmt.Errorf(
			"the processed record has %d bytes; at most %d are allowed (kafka.max_record_bytes)", n, w.stream.maxBytes)}
	}
	w.out = append(w.out, out)
	return nil
}

// traceparent links spans across topics (W3C Trace Context).
const traceparent = "traceparent"

// record has raw's key and partition. Without a value it has pk.
func (w *worker) record(raw *kgo.Record, version topics.Version, value, pk []byte) *kgo.Record {
	out := w.arena.record()
	*out = kgo.Record{Topic: w.stream.processed, Partition: raw.Partition, Key: raw.Key, Value: value}
	headers := append(w.arena.headers(), kgo.RecordHeader{
		Key: topics.HeaderVersion, Value: w.arena.keep(append(w.arena.free(), version[:]...)),
	})
	if value == nil {
		headers = append(headers, kgo.RecordHeader{Key: topics.HeaderPK, Value: pk})
	}
	if w.stream.attempt > 1 { // a letter of the sink has it, too
		headers = append(headers, kgo.RecordHeader{Key: topics.HeaderAttempt, Value: strconv.AppendInt(nil, int64(w.stream.attempt), 10)})
	}
	for i := range raw.Headers {
		if raw.Headers[i].Key == traceparent {
			headers = append(headers, raw.Headers[i])
			break
		}
	}
	out.Headers = w.arena.keepHeaders(headers)
	return out
}
