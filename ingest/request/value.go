package request

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/pipeline"
)

// Value is what a placeholder stands for. The zero Value is none.
type Value struct {
	Text string
	JSON jsontext.Value // where a member of a JSON body is nothing but the placeholder; nil: Text, as a text
}

// Values are what placeholders stand for, by name. One that is not there, or is the zero Value, stands for nothing.
type Values map[string]Value

// Text is a value that is a text. An empty one stands for nothing.
func Text(s string) Value { return Value{Text: s} }

// Integer is a whole number.
func Integer(n int64) Value {
	s := strconv.FormatInt(n, 10)
	return Value{Text: s, JSON: jsontext.Value(s)}
}

// Digits is a text that is a number in a JSON body if it is nothing but the digits of one.
func Digits(s string) Value {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && strconv.FormatInt(n, 10) == s {
		return Integer(n)
	}
	return Text(s)
}

// JSON is a JSON value: of a text, the text.
func JSON(v jsontext.Value) Value {
	if v.Kind() == '"' {
		if text, err := jsontext.AppendUnquote(nil, v); err == nil {
			return Text(string(text))
		}
	}
	return Value{Text: string(v), JSON: v}
}

func (v Value) none() bool { return v.Text == "" && v.JSON == nil }

// filler fills in placeholders. Names that are not known stay as they are.
type filler struct {
	known  map[string]bool
	values Values
}

// text fills in a text. ok is false if a placeholder in it stands for nothing.
func (f filler) text(text string, escape func(string) string) (filled string, ok bool) {
	if !strings.Contains(text, "{") {
		return text, true
	}
	ok = true
	filled = pipeline.Placeholder.ReplaceAllStringFunc(text, func(s string) string {
		name := pipeline.Placeholder.FindStringSubmatch(s)[1]
		if !f.known[name] {
			return s
		}
		v := f.values[name]
		if v.none() {
			ok = false
		}
		return escape(v.Text)
	})
	return filled, ok
}

// json appends a JSON value with its texts filled in. ok is false if it is a text in which a placeholder stands for
// nothing; then what it is a member or an element of does not have it.
func (f filler) json(b []byte, v jsontext.Value) (out []byte, ok bool, err error) {
	switch v.Kind() {
	case '"':
		return f.jsonText(b, v)
	case '{', '[':
		b, err = f.container(b, v)
		return b, true, err
	}
	return append(b, v...), true, nil
}

func (f filler) jsonText(b []byte, v jsontext.Value) (out []byte, ok bool, err error) {
	text, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return b, false, err
	}
	if m := pipeline.Placeholder.FindStringSubmatch(string(text)); m != nil && m[0] == string(text) && f.known[m[1]] && m[2] == "" {
		if whole := f.values[m[1]]; whole.JSON != nil {
			return append(b, whole.JSON...), true, nil
		}
	}
	filled, ok := f.text(string(text), asIs)
	if !ok {
		return b, false, nil
	}
	b, err = jsontext.AppendQuote(b, filled)
	return b, true, err
}

// container appends an object or an array.
func (f filler) container(b []byte, v jsontext.Value) ([]byte, error) {
	dec := jsontext.NewDecoder(strings.NewReader(string(v)))
	open, err := dec.ReadToken()
	if err != nil {
		return b, err
	}
	b = append(b, byte(open.Kind()))
	first := true
	for kind := dec.PeekKind(); kind != '}' && kind != ']'; kind = dec.PeekKind() {
		before := len(b)
		if !first {
			b = append(b, ',')
		}
		if open.Kind() == '{' {
			name, err := dec.ReadValue()
			if err != nil {
				return b, err
			}
			b = append(append(b, name...), ':')
		}
		member, err := dec.ReadValue()
		if err != nil {
			return b, err
		}
		filled, ok, err := f.json(b, member.Clone())
		if err != nil {
			return b, err
		}
		if b = filled; !ok {
			b = b[:before]
			continue
		}
		first = false
	}
	closing, err := dec.ReadToken()
	if err != nil {
		return b, err
	}
	return append(b, byte(closing.Kind())), nil
}

func asIs(s string) string { return s }
