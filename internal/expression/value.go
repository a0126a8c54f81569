package expression

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/apd/v3"
	"github.com/go-json-experiment/json/jsontext"
)

// Kind is the type of a [Value].
type Kind uint8

// The kinds. Missing is what a path gives where there is no such field.
const (
	Missing Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

var kindNames = [...]string{"missing", "null", "bool", "number", "string", "array", "object"}

// String is the name that type() gives.
func (k Kind) String() string { return kindNames[k] }

// Value is what an expression works on. Its bytes may lie in a record or in a [Frame]: it is valid as long as
// these are.
//
// A value cut out of a record stays the JSON token that it was, until an operation needs more:
//
//	raw     text is the JSON token: of a number, a string (with quotes), an array or an object
//	not raw Bool: coef is 0 or 1. String: text is UTF-8. Array: list.
//	        Number: coef × 10^-scale, or big if that is not nil
type Value struct {
	kind  Kind
	raw   bool
	scale int32
	coef  int64
	text  []byte
	ext   *extra
}

type extra struct {
	big  *apd.Decimal
	list []Value
}

// JSON returns the value of a JSON token, which must be valid and is not copied.
func JSON(token []byte) Value {
	switch token[0] {
	case 'n':
		return Value{kind: Null}
	case 't':
		return Value{kind: Bool, coef: 1}
	case 'f':
		return Value{kind: Bool}
	case '"':
		return Value{kind: String, raw: true, text: token}
	case '[':
		return Value{kind: Array, raw: true, text: token}
	case '{':
		return Value{kind: Object, raw: true, text: token}
	}
	return Value{kind: Number, raw: true, text: token}
}

// Text returns a string. It is not copied, and must be UTF-8.
func Text(s []byte) Value { return Value{kind: String, text: s} }

// Kind is the type of v.
func (v Value) Kind() Kind { return v.kind }

// Absent reports whether v is missing or null.
func (v Value) Absent() bool { return v.kind <= Null }

func boolean(b bool) Value {
	if b {
		return Value{kind: Bool, coef: 1}
	}
	return Value{kind: Bool}
}

func list(values []Value) Value { return Value{kind: Array, ext: &extra{list: values}} }

func integer(n int64) Value { return Value{kind: Number, coef: n} }

// True reports whether v is the boolean true, and whether it is a boolean at all.
func (v Value) True() (is, ok bool) { return v.coef != 0, v.kind == Bool }

// Token is the JSON token of a value that was cut out of a record; of a missing one, null.
func (v Value) Token() []byte {
	switch {
	case v.raw:
		return v.text
	case v.kind == Bool && v.coef != 0:
		return tokenTrue
	case v.kind == Bool:
		return tokenFalse
	}
	return tokenNull
}

var tokenTrue, tokenFalse, tokenNull = []byte("true"), []byte("false"), []byte("null")

// AppendJSON appends v as JSON. What was cut out of a record comes back byte for byte; a missing value is null.
func (v Value) AppendJSON(dst []byte) []byte {
	if v.raw {
		return append(dst, v.text...)
	}
	switch v.kind { //nolint:exhaustive // an object is always a token; what is absent follows
	case Bool:
		if v.coef != 0 {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case Number:
		return v.appendNumber(dst)
	case String:
		return appendQuoted(dst, v.text)
	case Array:
		dst = append(dst, '[')
		for i, e := range v.ext.list {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = e.AppendJSON(dst)
		}
		return append(dst, ']')
	}
	return append(dst, "null"...)
}

// Present is v, but null if v is missing: what becomes of a missing field that is copied to a column.
func (v Value) Present() Value {
	if v.kind == Missing {
		v.kind = Null
	}
	return v
}

// AppendQuoted appends text as a JSON string. What is not UTF-8 in it is replaced.
func AppendQuoted(dst []byte, text string) []byte { return appendQuoted(dst, []byte(text)) }

// IsNumber reports whether text is a JSON number and nothing else.
func IsNumber(text []byte) bool {
	s := scanner{text: text}
	return len(text) > 0 && (text[0] == '-' || text[0]-'0' <= 9) && s.number(0) == len(text)
}

// Elements returns the tokens of a JSON array.
func Elements(array []byte) ([]jsontext.Value, error) {
	v := jsontext.Value(array)
	if v.Kind() != '[' || !v.IsValid() {
		return nil, errors.New("not a JSON array")
	}
	var values []jsontext.Value
	tokens(bytes.TrimSpace(array), func(element []byte) bool {
		values = append(values, element)
		return true
	})
	return values, nil
}

// appendQuoted is jsontext.AppendQuote with a short way for text that needs no escapes.
func appendQuoted(dst, text []byte) []byte {
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			// Texts are checked where they enter, so the only error, invalid UTF-8, cannot be; the
			// bytes appended besides it hold replacement characters.
			dst, _ = jsontext.AppendQuote(dst, text)
			return dst
		}
	}
	dst = append(dst, '"')
	dst = append(dst, text...)
	return append(dst, '"')
}

// Frame is what one evaluation works in. A goroutine keeps one and resets it for each record.
type Frame struct {
	Slots []Value // by slot of the scope

	text []byte  // texts made by operations; a full one is left to the values that lie in it
	vars []Value // of let, by depth
	args []Value // of function calls, innermost last
	each []item  // of predicates, innermost last
}

// item is what a predicate looks at.
type item struct {
	value Value
	index int
}

// NewFrame returns a frame for programs of s.
func (s *Scope) NewFrame() *Frame {
	return &Frame{Slots: make([]Value, len(s.paths)), text: make([]byte, 0, 512)}
}

// Reset forgets the texts of earlier evaluations, and all slots.
func (f *Frame) Reset() {
	f.text = f.text[:0]
	clear(f.Slots)
}

// str returns the text of a string.
func (f *Frame) str(v Value) []byte {
	if !v.raw {
		return v.text
	}
	inner := v.text[1 : len(v.text)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	start := len(f.text)
	f.text, _ = jsontext.AppendUnquote(f.text, v.text) // the extractor has checked it
	return f.text[start:len(f.text):len(f.text)]
}

// elements returns the elements of an array.
func elements(v Value) []Value {
	if !v.raw {
		return v.ext.list
	}
	var values []Value
	tokens(v.text, func(element []byte) bool {
		values = append(values, JSON(element))
		return true
	})
	return values
}

// element returns an element of an array, or what is missing.
func element(v Value, at int) (e Value) {
	if !v.raw || at < 0 {
		values := elements(v)
		if at < 0 {
			at += len(values)
		}
		if at < 0 || at >= len(values) {
			return Value{}
		}
		return values[at]
	}
	tokens(v.text, func(token []byte) bool {
		if at--; at < 0 {
			e = JSON(token)
		}
		return at >= 0
	})
	return e
}

// tokens calls yield with the elements of a JSON array that is known to be valid, until it returns false.
func tokens(array []byte, yield func([]byte) bool) {
	s := scanner{text: array}
	for i := s.space(1); array[i] != ']'; {
		end := s.value(i)
		if end < 0 || !yield(array[i:end]) {
			return
		}
		if i = s.space(end); array[i] == ',' {
			i = s.space(i + 1)
		}
	}
}

// fields calls yield with the names and values of a JSON object that is known to be valid, until it returns
// false.
func fields(object []byte, yield func(name, value []byte) bool) {
	s := scanner{text: object}
	for i, more := s.first(0); more; {
		end := s.str(i)
		at := s.colon(end)
		after := s.value(at)
		if after < 0 || !yield(unescaped(object[i:end]), object[at:after]) {
			return
		}
		i, more = s.next(after)
	}
}

// member returns a field of an object; missing if v is no object or has no such field.
func member(v Value, name []byte) (field Value) {
	if v.kind != Object {
		return Value{}
	}
	fields(v.text, func(its, value []byte) bool {
		if !bytes.Equal(its, name) {
			return true
		}
		field = JSON(value)
		return false
	})
	return field
}

// Descend returns what a path gives in v: missing where there is no such field.
func Descend(v Value, path []string) Value {
	for _, name := range path {
		if v.Absent() {
			return Value{}
		}
		v = member(v, []byte(name))
	}
	return v
}

// FieldError is why a program gave no value for a record.
type FieldError struct {
	Source  string // the expression
	Message string
}

func (e *FieldError) Error() string { return fmt.Sprintf("%s: %s", e.Source, e.Message) }

// Eval evaluates p over the slots of f. The error is a *[FieldError].
func (p *Program) Eval(f *Frame) (Value, error) {
	if p.path >= 0 {
		return f.Slots[p.path], nil
	}
	f.vars, f.args, f.each = f.vars[:0], f.args[:0], f.each[:0]
	v, err := p.eval(f)
	if err != nil {
		if _, already := errors.AsType[*FieldError](err); already {
			return Value{}, err
		}
		return Value{}, &FieldError{Source: p.source, Message: err.Error()}
	}
	return v, nil
}
