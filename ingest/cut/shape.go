package cut

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/pipeline"
)

// shape returns the shape of the records: as it is declared, or as it was found.
func (c *cutter) shape() string {
	if c.answer.Shape != "" {
		return c.answer.Shape
	}
	return c.e.Shape.Kind
}

// records reads what stands in the place of the records. null is noted; what is none is an error, once the rest is
// known.
func (c *cutter) records() error {
	kind := c.dec.PeekKind()
	if kind != 0 && kind != 'n' && c.found {
		return fmt.Errorf("two arrays at %s in the answer", at(c.e.Records))
	}
	switch shape := c.shape(); {
	case kind == 'n':
		c.found, c.answer.Null = true, true
		return c.copyValue(0)
	case kind == '[' && shape != pipeline.ShapeObject:
		return c.array(shape == pipeline.ShapeMap)
	case kind == '{' && shape == pipeline.ShapeMap:
		return c.members()
	case kind == '{' && shape == pipeline.ShapeObject:
		return c.object()
	case kind == '{' && shape == "" && c.e.Keys != nil && c.whole != nil:
		return c.guess()
	case kind != 0:
		c.other = &NoRecordsError{Path: c.e.Records, Is: kind, Shape: shape}
	}
	return c.copyValue(0)
}

// array reads an array of records. An empty one stands for an object without members, too: so some languages write it.
func (c *cutter) array(mustBeEmpty bool) error {
	c.rest.raw("[]")
	c.found = true
	if _, err := c.dec.ReadToken(); err != nil {
		return err
	}
	c.inRecords, c.closing = true, ']'
	for c.dec.PeekKind() != ']' {
		if mustBeEmpty {
			c.other = &NoRecordsError{Path: c.e.Records, Is: '[', Shape: c.e.Shape.Kind}
			if err := c.dec.SkipValue(); err != nil {
				return err
			}
			continue
		}
		if err := c.one(); err != nil {
			return err
		}
	}
	c.inRecords = false
	_, err := c.dec.ReadToken()
	return err
}

// members reads an object whose members are the records.
func (c *cutter) members() error {
	c.found = true
	if _, err := c.dec.ReadToken(); err != nil {
		return err
	}
	top := len(c.e.Records) == 0 // then what tells of an error stands among the records
	c.rest.raw("{")
	c.inRecords, c.closing = true, '}'
	for c.dec.PeekKind() != '}' {
		token, err := c.dec.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		value, valid, err := c.next()
		if err != nil {
			return err
		}
		if top && valid {
			c.rest.member(name)
			c.rest.field(value)
		}
		if err := c.emit(c.e.Shape.member(name, value)); err != nil {
			return err
		}
	}
	c.inRecords = false
	c.rest.end()
	_, err := c.dec.ReadToken()
	return err
}

// object reads an object that is the only record.
func (c *cutter) object() error {
	c.inRecords = true
	value, _, err := c.next()
	if err != nil {
		return err
	}
	c.inRecords = false
	c.found = true
	c.inRest(value)
	return c.emit(value)
}

// inRest notes an object of records: it is the whole answer, which may be an error, or it is left out.
func (c *cutter) inRest(value []byte) {
	if len(c.e.Records) == 0 {
		c.rest.field(value)
		return
	}
	c.rest.raw("{}")
}

// guess reads an object where an array was to be expected. One that has the key is a record; one whose members all are
// objects that have the key is a map of records. Of anything else nothing is guessed.
func (c *cutter) guess() error {
	value, _, err := c.next()
	if err != nil {
		return err
	}
	if c.hasKey(value) {
		c.found, c.answer.Shape = true, pipeline.ShapeObject
		c.inRest(value)
		return c.emit(value)
	}
	var members [][]byte
	dec := jsontext.NewDecoder(bytes.NewBuffer(value), options...)
	_, err = dec.ReadToken()
	for err == nil && dec.PeekKind() == '"' {
		var member jsontext.Value
		if err = dec.SkipValue(); err == nil {
			member, err = dec.ReadValue()
		}
		if err != nil || member.Kind() != '{' || !c.hasKey(member) {
			members = nil
			break
		}
		end := dec.InputOffset()
		members = append(members, value[end-int64(len(member)):end:end])
	}
	if len(members) == 0 {
		c.other = &NoRecordsError{Path: c.e.Records, Is: '{'}
		within := cutter{dec: jsontext.NewDecoder(bytes.NewBuffer(value), options...), rest: c.rest}
		err = within.copyValue(0)
		c.rest = within.rest
		return err
	}
	c.found, c.answer.Shape = true, pipeline.ShapeMap
	c.inRest(value)
	for _, member := range members {
		if err := c.emit(member); err != nil {
			return err
		}
	}
	return nil
}

// hasKey reports whether object has a single value in each field of the key.
func (c *cutter) hasKey(object jsontext.Value) bool {
	values := make([]jsontext.Value, c.e.Keys.Len())
	c.e.Keys.Find(object, values)
	for _, v := range values {
		if v == nil || !single(v) {
			return false
		}
	}
	return len(values) > 0
}

// single reports whether v is a text, a number, true or false.
func single(v jsontext.Value) bool {
	switch v.Kind() {
	case '"', '0', 't', 'f':
		return true
	}
	return false
}

// lines reads an answer that is one record after the other.
func (c *cutter) lines() error {
	c.found, c.inRecords, c.closing = true, true, '\n'
	for c.dec.PeekKind() != 0 {
		if err := c.one(); err != nil {
			return c.explain(err)
		}
	}
	if _, err := c.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return c.explain(err)
	}
	c.inRecords = false
	return nil
}

// next reads a record. Its bytes are bytes of the answer where that is in memory, else they are valid until the next
// one is read. valid says that they are JSON.
func (c *cutter) next() (value []byte, valid bool, err error) {
	c.start = c.dec.InputOffset()
	v, err := c.dec.ReadValue()
	if err != nil || c.whole == nil {
		return v, true, err
	}
	if len(c.broken) > 0 && c.broken[0].Record == c.answer.Records {
		b := c.broken[0]
		c.broken = c.broken[1:]
		return c.whole[b.Start:b.End:b.End], false, nil
	}
	end := c.dec.InputOffset()
	return c.whole[end-int64(len(v)) : end : end], true, nil
}

// one reads an element of an array, or of lines.
func (c *cutter) one() error {
	value, valid, err := c.next()
	if err != nil {
		return err
	}
	is := valid && single(value)
	if is && c.answer.Records == 0 && c.e.Shape.Kind == "" && c.e.Shape.As != "" {
		c.answer.Shape = pipeline.ShapeValues
	}
	if is && c.shape() == pipeline.ShapeValues {
		value = c.e.Shape.value(value)
	}
	if c.shape() == pipeline.ShapeRows {
		if value, err = c.row(value); value == nil || err != nil {
			return err
		}
	}
	return c.emit(value)
}

// emit hands a record on.
func (c *cutter) emit(value []byte) error {
	ordinal := c.answer.Records
	if c.whole == nil && int64(len(value)) > c.e.MaxRecordBytes {
		return &TooLargeError{Ordinal: ordinal, Bytes: int64(len(value)), Max: c.e.MaxRecordBytes}
	}
	c.answer.Records++
	if c.record == nil {
		return nil
	}
	return c.record(ordinal, value)
}

// Shape is [pipeline.Shape].
type Shape pipeline.Shape

// value is the record of a value that is none: an object with one field.
func (s *Shape) value(value []byte) []byte {
	record := appendName([]byte{'{'}, s.As)
	return append(append(record, value...), '}')
}

// member is the record of a member of an object: with its name as a field, before its own fields; one of that name
// stays.
func (s *Shape) member(name string, value []byte) []byte {
	if s.KeyAs == "" {
		return value
	}
	record := make([]byte, 0, len(value)+len(name)+len(s.KeyAs)+len(s.As)+16)
	record = appendName(append(record, '{'), s.KeyAs)
	record, _ = jsontext.AppendQuote(record, name) // what is not UTF-8 is replaced
	if jsontext.Value(value).Kind() != '{' {
		record = appendName(append(record, ','), s.As)
		return append(append(record, value...), '}')
	}
	var own [1]jsontext.Value
	if NewFields([]string{s.KeyAs}).Find(value, own[:]); own[0] != nil {
		return value
	}
	if rest := bytes.TrimLeft(value[1:], " \t\r\n"); rest[0] != '}' {
		record = append(record, ',')
	}
	return append(record, value[1:]...)
}

func appendName(b []byte, name string) []byte {
	b, _ = jsontext.AppendQuote(b, name)
	return append(b, ':')
}
