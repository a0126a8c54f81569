package expression

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Extractor cuts the tokens of a scope's paths out of records, in one pass that also checks the whole record:
// valid JSON (RFC 8259), valid UTF-8, no name twice in an object. One goroutine may use it at a time.
type Extractor struct {
	root   *branch
	input  bytes.Buffer
	reader *jsontext.Decoder
}

// branch is a node of the trie of paths.
type branch struct {
	name     []byte
	slot     int // -1: no path ends here
	children []*branch
}

// NewExtractor returns an extractor for the paths that s has now.
func (s *Scope) NewExtractor() *Extractor {
	root := &branch{slot: -1}
	for slot, path := range s.paths {
		b := root
		for _, name := range path {
			next := b.child([]byte(name))
			if next == nil {
				next = &branch{name: []byte(name), slot: -1}
				b.children = append(b.children, next)
			}
			b = next
		}
		b.slot = slot
	}
	return &Extractor{root: root, reader: jsontext.NewDecoder(bytes.NewReader(nil))}
}

func (b *branch) child(name []byte) *branch {
	for _, c := range b.children {
		if len(c.name) == len(name) && string(c.name) == string(name) {
			return c
		}
	}
	return nil
}

// Extract resets f and fills its slots from a record, which must be a JSON object. The slots refer to record, which
// must stay as it is while they are used. The error says what is wrong with the record.
func (x *Extractor) Extract(f *Frame, record []byte) error {
	f.Reset()
	x.input = *bytes.NewBuffer(record)
	x.reader.Reset(&x.input)
	if k := x.reader.PeekKind(); k != '{' && k != jsontext.KindInvalid {
		return fmt.Errorf("the record is not a JSON object but of type %s", JSON([]byte{byte(k)}).kind)
	}
	if err := x.object(f, record, x.root); err != nil {
		return reason(err)
	}
	if _, err := x.reader.ReadToken(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("there is more after the object")
		}
		return reason(err)
	}
	return nil
}

// object reads the object that comes next, whose paths are those of b.
func (x *Extractor) object(f *Frame, record []byte, b *branch) error {
	if _, err := x.reader.ReadToken(); err != nil {
		return err
	}
	start := x.reader.InputOffset() - 1
	for x.reader.PeekKind() != '}' {
		name, err := x.reader.ReadValue()
		if err != nil {
			return err
		}
		if err := x.field(f, record, b.find(name)); err != nil {
			return err
		}
	}
	if _, err := x.reader.ReadToken(); err != nil {
		return err
	}
	if b.slot >= 0 {
		f.Slots[b.slot] = JSON(record[start:x.reader.InputOffset()])
	}
	return nil
}

// find returns the child whose name is a JSON string; nil if there is none.
func (b *branch) find(token []byte) *branch {
	name := token[1 : len(token)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		name, _ = jsontext.AppendUnquote(nil, token) // the decoder has checked it
	}
	return b.child(name)
}

// field reads the value that comes next; b is nil if nothing in it is wanted.
func (x *Extractor) field(f *Frame, record []byte, b *branch) error {
	switch {
	case b == nil:
		return x.reader.SkipValue()
	case len(b.children) > 0 && x.reader.PeekKind() == '{':
		return x.object(f, record, b)
	}
	token, err := x.reader.ReadValue()
	if err == nil && b.slot >= 0 {
		end := x.reader.InputOffset()
		f.Slots[b.slot] = JSON(record[end-int64(len(token)) : end])
	}
	return err
}

// reason says what is wrong with a record's JSON.
func reason(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the record is not valid JSON: it ends too early")
	}
	var at *jsontext.SyntacticError
	if errors.As(err, &at) {
		return fmt.Errorf("the record is not valid JSON: byte %d: %w", at.ByteOffset, at.Err)
	}
	return fmt.Errorf("the record is not valid JSON: %w", err)
}
