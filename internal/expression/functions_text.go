package expression

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// keep copies what make appends into the frame and returns it as a string.
func (f *Frame) keep(appendTo func(dst []byte) []byte) Value {
	start := len(f.text)
	f.text = appendTo(f.text)
	return Text(f.text[start:len(f.text):len(f.text)])
}

func lower(f *Frame, args []Value) (Value, error) {
	return f.mapRunes(args[0], func(c byte) bool { return c < 'A' || c > 'Z' }, 'a'-'A', unicode.ToLower), nil
}

func upper(f *Frame, args []Value) (Value, error) {
	return f.mapRunes(args[0], func(c byte) bool { return c < 'a' || c > 'z' }, 'A'-'a'+0, unicode.ToUpper), nil
}

// mapRunes applies to each character, with a short way for ASCII: bytes that are not same are shifted.
func (f *Frame) mapRunes(v Value, same func(c byte) bool, shift int, to func(rune) rune) Value {
	s := f.str(v)
	start := len(f.text)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRune(s[i:])
			f.text = utf8.AppendRune(f.text, to(r))
			i += size - 1
		case same(c):
			f.text = append(f.text, c)
		default:
			f.text = append(f.text, byte(int(c)+shift))
		}
	}
	return Text(f.text[start:len(f.text):len(f.text)])
}

func trim(f *Frame, args []Value) (Value, error) {
	s := f.str(args[0])
	if len(args) == 1 {
		return Text(bytes.TrimSpace(s)), nil
	}
	return Text(bytes.Trim(s, string(f.str(args[1])))), nil
}

func trimPrefix(f *Frame, args []Value) (Value, error) {
	return Text(bytes.TrimPrefix(f.str(args[0]), f.str(args[1]))), nil
}

func trimSuffix(f *Frame, args []Value) (Value, error) {
	return Text(bytes.TrimSuffix(f.str(args[0]), f.str(args[1]))), nil
}

// maxTextBytes bounds what replace can make of a record.
const maxTextBytes = 64 << 20

func replace(f *Frame, args []Value) (Value, error) {
	s, from, to := f.str(args[0]), f.str(args[1]), f.str(args[2])
	if n := bytes.Count(s, from); len(s)+n*max(0, len(to)-len(from)) > maxTextBytes {
		return Value{}, fmt.Errorf("the result has more than %d bytes", maxTextBytes)
	}
	return Text(bytes.ReplaceAll(s, from, to)), nil
}

func split(f *Frame, args []Value) (Value, error) {
	pieces := bytes.Split(f.str(args[0]), f.str(args[1]))
	values := make([]Value, len(pieces))
	for i, p := range pieces {
		values[i] = Text(p)
	}
	return list(values), nil
}

func join(f *Frame, args []Value) (Value, error) {
	var separator []byte
	if len(args) == 2 {
		separator = f.str(args[1])
	}
	var joined []byte
	for i, v := range elements(args[0]) {
		if v.kind != String {
			return Value{}, fmt.Errorf("element %d is of type %s, not string", i, v.kind)
		}
		if i > 0 {
			joined = append(joined, separator...)
		}
		joined = append(joined, f.str(v)...)
	}
	return Text(joined), nil
}

// length is in characters, elements or fields.
func length(f *Frame, args []Value) (Value, error) {
	switch v := args[0]; v.kind {
	case String:
		return integer(int64(utf8.RuneCount(f.str(v)))), nil
	case Array:
		return integer(int64(len(elements(v)))), nil
	default:
		names := 0
		fields(v.text, func(_, _ []byte) bool { names++; return true })
		return integer(int64(names)), nil
	}
}

// toString gives the digits of a number as they were sent, and JSON of an array or object.
func toString(f *Frame, args []Value) (Value, error) {
	v := args[0]
	if v.kind == String {
		return v, nil
	}
	if v.raw {
		return Text(v.text), nil
	}
	return f.keep(v.AppendJSON), nil
}

func typeOf(_ *Frame, args []Value) (Value, error) { return Text([]byte(args[0].kind.String())), nil }

func first(_ *Frame, args []Value) (Value, error) { return element(args[0], 0), nil }

func last(_ *Frame, args []Value) (Value, error) { return element(args[0], -1), nil }

func toJSON(f *Frame, args []Value) (Value, error) { return f.keep(args[0].AppendJSON), nil }

func fromJSON(f *Frame, args []Value) (Value, error) {
	v := jsontext.Value(bytes.Clone(f.str(args[0])))
	if err := v.Compact(); err != nil {
		return Value{}, fmt.Errorf("not JSON: %w", err)
	}
	return JSON(v), nil
}
