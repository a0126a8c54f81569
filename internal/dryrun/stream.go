package dryrun

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest/cut"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor/steps"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
)

// Stream makes rows of the records of one stream. It is for one goroutine.
type Stream struct {
	Table *rows.Table

	stream  *pipeline.Stream
	chain   *steps.Chain
	runner  *steps.Runner
	decoder *rows.Decoder
	offset  int64 // of the next record, as if they stood in a raw topic
}

// New compiles the steps of a stream.
func New(s *pipeline.Stream) (*Stream, error) {
	chain, err := steps.Compile(s)
	if err != nil {
		return nil, err
	}
	return &Stream{
		Table: rows.NewTable(s), stream: s, chain: chain, runner: chain.Runner(), decoder: rows.NewDecoder(),
	}, nil
}

// Unseen tells of fields that expressions name and that no record so far had.
func (s *Stream) Unseen() []string {
	told, _ := s.chain.Unseen()
	return told
}

// Record is a raw record.
type Record struct {
	Value  []byte
	Key    []byte
	Slice  string
	Source int64 // its version: 0: none
}

// Key makes the raw key of a record as ingest does; reason says why it cannot; empty: it can.
func (s *Stream) Key(value jsontext.Value, slice string) (key []byte, reason string) {
	var values []jsontext.Value
	for _, path := range s.stream.Ingest.Key {
		if path == pipeline.SliceField {
			quoted, _ := jsontext.AppendQuote(nil, slice)
			values = append(values, quoted)
			continue
		}
		var found [1]jsontext.Value
		cut.NewFields(pipeline.PathNames(path)).Find(value, found[:])
		switch v := found[0]; {
		case v == nil:
			return nil, fmt.Sprintf("the key field %q is missing", path)
		case v.Kind() == 'n':
			return nil, fmt.Sprintf("the key field %q is null", path)
		case v.Kind() == '{' || v.Kind() == '[':
			return nil, fmt.Sprintf("the key field %q is an object or array", path)
		}
		values = append(values, found[0])
	}
	key, err := topics.AppendKey(nil, values...)
	if err != nil {
		return nil, "the key is not valid text: " + err.Error()
	}
	return key, ""
}

// Letter is why a record can never be processed or stored.
type Letter struct {
	Stage  string `json:"stage"` // ingest, processor or sink
	Step   string `json:"step"`  // a path in the pipeline file
	Reason string `json:"reason"`
}

// Cell is the value of a column as the database is given it.
type Cell struct {
	Column string  `json:"column"`
	Type   string  `json:"type"`
	Value  *string `json:"value"`          // nil: null
	Doubt  string  `json:"doubt,omitzero"` // why the column may not hold it; empty: it does
}

// Outcome is what becomes of a record.
type Outcome struct {
	Trace  []steps.Traced
	Rows   [][]Cell
	Letter *Letter // nil: none
	// Changes are what the rows, or their removal, do to the table; valid as long as the stream.
	Changes []rows.Change
}

// Apply runs the steps over a record and makes its rows.
func (s *Stream) Apply(r Record) Outcome {
	var o Outcome
	made, trace, err := s.runner.Trace(nil, r.Value, []byte(r.Slice))
	o.Trace = trace
	if err != nil {
		o.Letter = processorLetter(err)
		return o
	}
	version := topics.NewVersion(r.Source, 0, s.offset, 1)
	s.offset++
	if len(made.Rows) == 0 {
		if !made.Never {
			s.remove(&o, r, version)
		}
		return o
	}
	for _, row := range made.Rows {
		value := append([]byte(nil), row...)
		var x rows.Change
		s.decoder.Decode(&x, s.Table, processed(r.Key, value, version, nil))
		if x.Reason != nil {
			o.Letter = &Letter{Stage: "sink", Step: "sink.columns", Reason: x.Reason.Error()}
			o.Rows, o.Changes = nil, nil
			return o
		}
		o.Rows, o.Changes = append(o.Rows, s.cells(x.Row)), append(o.Changes, x)
	}
	return o
}

// Delete is the removal of the row of a key that was deleted at the API.
func (s *Stream) Delete(r Record) Outcome {
	var o Outcome
	version := topics.NewVersion(r.Source, 0, s.offset, 1)
	s.offset++
	pk, err := s.runner.AppendTombstonePK(nil, r.Key)
	s.removeAs(&o, r, version, pk, err)
	return o
}

// remove is a record without rows: its row goes, if there is one.
func (s *Stream) remove(o *Outcome, r Record, version topics.Version) {
	pk, err := s.runner.AppendPK(nil)
	s.removeAs(o, r, version, pk, err)
}

// removeAs is the removal of the row with a primary key, or a letter if err says that there is none.
func (s *Stream) removeAs(o *Outcome, r Record, version topics.Version, pk []byte, err error) {
	if err != nil {
		o.Letter = processorLetter(err)
		return
	}
	var x rows.Change
	s.decoder.Decode(&x, s.Table, processed(r.Key, nil, version, pk))
	if x.Reason != nil {
		o.Letter = &Letter{Stage: "sink", Step: "sink.columns", Reason: x.Reason.Error()}
		return
	}
	o.Changes = append(o.Changes, x)
}

func processorLetter(err error) *Letter {
	l := &Letter{Stage: "processor", Step: "process", Reason: err.Error()}
	if refused, ok := errors.AsType[*steps.RefusedError](err); ok {
		l.Step, l.Reason = refused.Step, refused.Err.Error()
	}
	return l
}

// processed is the record that the processor would write.
func processed(key, value []byte, version topics.Version, pk []byte) *kgo.Record {
	r := &kgo.Record{Key: key, Value: value, Headers: []kgo.RecordHeader{{Key: topics.HeaderVersion, Value: version[:]}}}
	if pk != nil {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: topics.HeaderPK, Value: pk})
	}
	return r
}

// cells are the values of a row by column.
func (s *Stream) cells(row rows.Values) []Cell {
	cells := make([]Cell, len(s.Table.Columns))
	for i := range s.Table.Columns {
		var v rows.Value
		v, row = row.Next()
		c := &s.Table.Columns[i]
		cells[i] = Cell{Column: c.Name, Type: c.Type}
		if v.Form == rows.Null {
			continue
		}
		text := string(v.Bytes)
		if v.Form == rows.Bytes {
			text = fmt.Sprintf("0x%x", v.Bytes)
		}
		cells[i].Value = &text
		cells[i].Doubt = Fits(c.SQL, v)
	}
	return cells
}

// Cells are the values of the row that a change makes; nil: it removes one.
func (s *Stream) Cells(x *rows.Change) []Cell {
	if x.Remove {
		return nil
	}
	return s.cells(x.Row)
}
