package rows

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/apd/v3"
	"github.com/go-json-experiment/json/jsontext"
)

// encoder appends values. It is for one goroutine.
type encoder struct {
	out     Values
	scratch []byte // a value that has to be put together
}

func (e *encoder) append(form Form, b []byte) error {
	e.out = e.out.Append(form, b)
	return nil
}

// unquoted returns the text of a JSON string, until the next call.
func (e *encoder) unquoted(v jsontext.Value) ([]byte, error) {
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1], nil
	}
	text, err := jsontext.AppendUnquote(e.scratch[:0], v)
	e.scratch = text[:0]
	return text, err
}

// encode appends what column c keeps of a JSON value. An error says why the column cannot hold the
// value; what depends on the column's size or range is left to the database, in strict mode.
func (c *Column) encode(e *encoder, v jsontext.Value) error {
	k := v.Kind()
	if k == 'n' {
		if c.NotNull || c.Key {
			return fmt.Errorf("column %s: null, and the column must have a value", c.Name)
		}
		return e.append(Null, nil)
	}
	var err error
	switch c.Kind {
	case KindInteger, KindBoolean:
		err = e.integer(v, k)
	case KindDecimal, KindFloat:
		err = e.number(c.Kind, v, k)
	case KindJSON:
		return e.append(Text, v)
	case KindTime, KindDate, KindClock:
		err = e.moment(c.Kind, v, k)
	case KindBinary:
		err = e.binary(v, k)
	default:
		return e.text(v, k)
	}
	if err != nil {
		return fmt.Errorf("column %s %s: %w", c.Name, c.Type, err)
	}
	return nil
}

// mismatch quotes a short value; a long one is somebody's record.
func mismatch(v jsontext.Value, want string) error {
	const long = 80
	if len(v) > long {
		return fmt.Errorf("%s… (%d bytes) is not %s", bytes.ToValidUTF8(v[:long], nil), len(v), want)
	}
	return fmt.Errorf("%s is not %s", v, want)
}

func (e *encoder) integer(v jsontext.Value, k jsontext.Kind) error {
	switch k {
	case 't':
		return e.append(Number, []byte{'1'})
	case 'f':
		return e.append(Number, []byte{'0'})
	case '"':
		text, err := e.unquoted(v)
		if err != nil {
			return err
		}
		v = jsontext.Value(bytes.TrimSpace(text))
	case '0':
	default:
		return mismatch(v, "a whole number")
	}
	if digits := bytes.TrimPrefix(v, []byte("-")); len(digits) > 0 && digitsOnly(digits) {
		return e.append(Number, v)
	}
	// 1e3 and 12.0 are whole numbers too; 1.5 is not, and MySQL would round it without a word.
	d, _, err := apd.NewFromString(string(v))
	if err != nil || d.Form != apd.Finite || d.Exponent > 40 {
		return mismatch(v, "a whole number")
	}
	whole, fraction := new(apd.Decimal), new(apd.Decimal)
	d.Modf(whole, fraction)
	if !fraction.IsZero() {
		return mismatch(v, "a whole number")
	}
	return e.append(Number, []byte(whole.Text('f')))
}

func digitsOnly(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func (e *encoder) number(column Kind, v jsontext.Value, k jsontext.Kind) error {
	switch k {
	case '0':
	case '"':
		text, err := e.unquoted(v)
		if err != nil {
			return err
		}
		number := jsontext.Value(bytes.TrimSpace(text))
		if !number.IsValid() || number.Kind() != '0' {
			return mismatch(v, "a number")
		}
		v = number
	default:
		return mismatch(v, "a number")
	}
	if column == KindDecimal && bytes.ContainsAny(v, "eE") {
		return e.append(Text, v) // as a number in a statement it would be a double, and lose digits
	}
	return e.append(Number, v)
}

// text keeps of a JSON value the text of a string, the digits of a number, true, false, or the JSON text of an object or array.
func (e *encoder) text(v jsontext.Value, k jsontext.Kind) error {
	if k != '"' {
		return e.append(Text, v)
	}
	text, err := e.unquoted(v)
	if err != nil {
		return err
	}
	return e.append(Text, text)
}

func (e *encoder) binary(v jsontext.Value, k jsontext.Kind) error {
	if k != '"' {
		return mismatch(v, "a string")
	}
	text, err := e.unquoted(v)
	if err != nil {
		return err
	}
	return e.append(Bytes, text)
}
