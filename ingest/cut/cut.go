package cut

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/pipeline"
)

// Envelope says where things are in an answer, as paths of object keys, which are matched as [pipeline.PathTakes] says.
type Envelope struct {
	Records []string       // to the records; empty: the answer itself
	Columns jsontext.Value // of Shape.Columns, which the answer was cut for before; nil: see there
	// of what is there; without a kind: an array, or what the key shows to be an object or a map of records
	Shape Shape
	Keys  *Fields // the fields of the key; nil: they show nothing
	// the answer is one record after the other, as JSON texts: NDJSON. Records and Fields are not looked for
	Lines bool
	// other values that are wanted, in the order in which [Answer] has them; none lies under Records
	Fields [][]string
	// MaxRecordBytes bounds a record, and any other single value that must be held: 1 or more.
	MaxRecordBytes int64
}

// Answer is what an answer holds besides its records.
type Answer struct {
	Records int              // number of records
	Fields  []jsontext.Value // as Envelope.Fields; nil: absent. Copies
	Null    bool             // null stands in the place of the array of records
	Shape   string           // that was found, if none was declared and it is not an array of objects: of pipeline.Shape

	// Rest is the answer without its records: an object in which [] or null stands in their place, and what is large is
	// shortened. nil: the answer is no object. It may be there beside an error.
	Rest jsontext.Value
}

// NoRecordsError says that an answer has no array where its records should be.
type NoRecordsError struct {
	Path []string
	Is   jsontext.Kind // what is there instead; 0: nothing

	Shape string // that is declared
}

func (e *NoRecordsError) Error() string {
	want := "array"
	if e.Shape == pipeline.ShapeMap || e.Shape == pipeline.ShapeObject {
		want = "object"
	}
	if e.Is == 0 {
		return fmt.Sprintf("no %s of records at %s in the answer", want, at(e.Path))
	}
	text := fmt.Sprintf("at %s in the answer there is no %s", at(e.Path), want)
	if e.Is == '{' && e.Shape == "" {
		text += "; an object there without the key can be declared: ingest.records: {object: PATH}, or {map: PATH, key_as: FIELD}"
	}
	return text
}

// Quotes says that the answer is JSON, whose fields are named; records may stand anywhere in it.
func (e *NoRecordsError) Quotes() bool { return true }

// TooLargeError says that a record, or another value of an answer, is larger than may be held.
type TooLargeError struct {
	Ordinal int // of the record, from 0; -1: it is outside the records
	Bytes   int64
	AtLeast bool // it was not read to its end
	Max     int64
}

func (e *TooLargeError) Error() string {
	what := "a value outside the records"
	if e.Ordinal >= 0 {
		what = fmt.Sprintf("record %d", e.Ordinal)
	}
	size := fmt.Sprint(e.Bytes)
	if e.AtLeast {
		size = "more than " + size
	}
	return fmt.Sprintf("%s has %s bytes, over the limit of %d", what, size, e.Max)
}

var options = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// Bytes cuts an answer that is in memory. record is called for each record in order, with its ordinal and its bytes,
// which are bytes of answer. Whoever must not act before the whole answer is known to be JSON
// acts after Bytes has returned nil. The error says where the JSON is broken, or is what record returned.
func Bytes(answer []byte, e *Envelope, record func(ordinal int, value []byte) error) (Answer, error) {
	return BytesBut(answer, e, nil, record)
}

// BytesBut is [Bytes] for an answer in which some records are no JSON, as errors of the calls before have said: record
// gets their bytes as they are. They are in order, and have an End.
func BytesBut(answer []byte, e *Envelope, broken []SyntaxError, record func(ordinal int, value []byte) error) (Answer, error) {
	c := cutter{e: e, record: record, whole: answer, read: answer, broken: broken}
	if len(broken) > 0 {
		c.read = bytes.Clone(answer)
		for _, b := range broken { // a number in their place, and spaces, so that all else stays where it is
			for i := b.Start; i < b.End; i++ {
				c.read[i] = ' '
			}
			c.read[b.Start] = '0'
		}
	}
	c.dec = jsontext.NewDecoder(bytes.NewBuffer(slices.Clip(c.read)), options...)
	return c.run()
}

// Reader is [Bytes] for an answer that is not held in memory: what is held is a record or an envelope field, at most
// Envelope.MaxRecordBytes of it. The bytes given to record are valid until it returns; if record is nil, records are
// measured and checked only.
func Reader(answer io.Reader, e *Envelope, record func(ordinal int, value []byte) error) (Answer, error) {
	c := cutter{e: e, record: record}
	c.guard = &guard{r: answer, max: e.MaxRecordBytes + guardSlack}
	c.dec = jsontext.NewDecoder(c.guard, options...)
	c.guard.dec = c.dec
	a, err := c.run()
	if errors.Is(err, errGuard) {
		ordinal := -1
		if c.inRecords {
			ordinal = c.answer.Records
		}
		return a, &TooLargeError{Ordinal: ordinal, Bytes: e.MaxRecordBytes, AtLeast: true, Max: e.MaxRecordBytes}
	}
	return a, err
}

// guardSlack is what the tokenizer may have read ahead of the value in hand.
const guardSlack = 1 << 20

var errGuard = errors.New("value too large")

// guard ends the reading when the tokenizer holds more than max bytes.
type guard struct {
	r    io.Reader
	dec  *jsontext.Decoder
	read int64
	max  int64
}

func (g *guard) Read(p []byte) (int, error) {
	if g.read-g.dec.InputOffset() > g.max {
		return 0, errGuard
	}
	n, err := g.r.Read(p[:min(len(p), guardSlack/2)])
	g.read += int64(n)
	return n, err
}

type cutter struct {
	e         *Envelope
	dec       *jsontext.Decoder
	guard     *guard
	whole     []byte // nil: read from guard
	read      []byte // whole as the decoder is given it
	broken    []SyntaxError
	start     int64 // where the record in hand is looked for
	closing   byte  // what ends the records; 0: what is read is a record whole
	record    func(int, []byte) error
	answer    Answer
	inRecords bool
	found     bool
	columns   [][]byte // names of the values of a row, quoted and with a colon; nil: they are not known yet
	rest      rest
	other     error // what stands in the place of the records; told when the whole answer has been read
}

func (c *cutter) run() (Answer, error) {
	c.answer.Fields = make([]jsontext.Value, len(c.e.Fields))
	if c.e.Lines {
		err := c.lines()
		return c.answer, err
	}
	wants := []want{{recordsField, c.e.Records}}
	for i, path := range c.e.Fields {
		wants = append(wants, want{i, path})
	}
	object := c.dec.PeekKind() == '{'
	err := c.walk(wants)
	if object {
		c.answer.Rest = c.rest.b
	}
	if err != nil {
		c.answer.Rest = nil // it ends in the middle
		return c.answer, c.explain(err)
	}
	if _, err := c.dec.ReadToken(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("more follows the end of the JSON text; if each line is a record, set ingest.format: ndjson")
		}
		return c.answer, c.explain(err)
	}
	if c.other != nil {
		return c.answer, c.other
	}
	if !c.found {
		return c.answer, &NoRecordsError{Path: c.e.Records, Shape: c.e.Shape.Kind}
	}
	return c.answer, nil
}

func at(path []string) string {
	if len(path) == 0 {
		return "the top"
	}
	return strconv.Quote(pipeline.FormatPath(path))
}

// want is a value that is looked for below the object in hand: the records, or a field.
type want struct {
	field int      // index in Envelope.Fields; recordsField: the records
	path  []string // that is left
}

const recordsField = -1

// walk reads a value in which wants are looked for. One without a path is the value itself.
func (c *cutter) walk(wants []want) error {
	for _, w := range wants {
		if len(w.path) == 0 && w.field == recordsField {
			return c.records()
		}
		if len(w.path) == 0 {
			return c.value(wants)
		}
	}
	if len(wants) == 0 || c.dec.PeekKind() != '{' {
		return c.copyValue(0) // nothing of what is wanted is here; run says so if it must
	}
	if _, err := c.dec.ReadToken(); err != nil {
		return err
	}
	c.rest.raw("{")
	for c.dec.PeekKind() != '}' {
		token, err := c.dec.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		var below []want
		for _, w := range wants {
			if n := pipeline.PathTakes(w.path, name); n > 0 {
				below = append(below, want{w.field, w.path[n:]})
			}
		}
		c.rest.member(name)
		if err := c.walk(below); err != nil {
			return err
		}
	}
	c.rest.end()
	_, err := c.dec.ReadToken()
	return err
}

// value takes a value that is a field, and what is wanted of it besides.
func (c *cutter) value(wants []want) error {
	v, err := c.dec.ReadValue()
	if err != nil {
		return err
	}
	whole := v.Clone()
	c.rest.field(whole)
	for _, w := range wants {
		if len(w.path) == 0 {
			c.answer.Fields[w.field] = whole
			continue
		}
		var found [1]jsontext.Value
		if NewFields(w.path).Find(whole, found[:]); found[0] != nil {
			c.answer.Fields[w.field] = found[0]
		}
	}
	return nil
}

// explain says of an error in the JSON where it is. The bytes themselves are not quoted: they may be a record's.
func (c *cutter) explain(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("the answer ends in the middle, after %d bytes: %w", c.dec.InputOffset(), io.ErrUnexpectedEOF)
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		e := &SyntaxError{Offset: syntax.ByteOffset, Err: syntax.Err, Record: -1}
		if c.inRecords {
			e.Record = c.answer.Records
			if c.closing != 0 {
				e.Start, e.End = extent(c.read, c.start, c.closing)
			}
		}
		return e
	}
	return err
}
