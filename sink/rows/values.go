package rows

import "encoding/binary"

// Form is how a value is to be written.
type Form uint8

// The forms of values.
const (
	Null   Form = iota // no bytes
	Number             // the digits of a number, which may stand in a statement as they are
	Text               // text in UTF-8, to be quoted
	Bytes              // any bytes
)

// Value is one value of a row.
type Value struct {
	Form  Form
	Bytes []byte // not to be written to
}

// Values are values one after the other, without gaps: each is its length and form as a uvarint, then its bytes. So
// the rows of a batch are a few large pieces of memory.
type Values []byte

const formBits = 2

// Next returns the first value and what comes after it. v must not be empty.
func (v Values) Next() (Value, Values) {
	head, n := uint64(v[0]), 1
	if head >= 0x80 { // most values are short
		head, n = binary.Uvarint(v)
	}
	end := n + int(head>>formBits)
	return Value{Form(head & (1<<formBits - 1)), v[n:end]}, v[end:]
}

// At returns the value at index i, from 0. There must be one.
func (v Values) At(i int) Value {
	for ; ; i-- {
		value, rest := v.Next()
		if i == 0 {
			return value
		}
		v = rest
	}
}

// Append appends a value.
func (v Values) Append(form Form, b []byte) Values {
	return append(binary.AppendUvarint(v, uint64(len(b))<<formBits|uint64(form)), b...)
}
