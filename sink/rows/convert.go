package rows

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/apd/v3"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/internal/columntype"
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
	if err := c.convert(e, v, k); err != nil {
		return fmt.Errorf("column %s %s: %w", c.Name, c.Type, err)
	}
	return nil
}

func (c *Column) convert(e *encoder, v jsontext.Value, k jsontext.Kind) error {
	if !c.Kind.Takes(k) {
		return c.mismatch(v)
	}
	if c.Kind == columntype.JSON {
		return e.append(Text, v)
	}
	text := []byte(v)
	if k == '"' {
		var err error
		if text, err = e.unquoted(v); err != nil {
			return err
		}
	}
	switch c.Kind {
	case columntype.Integer, columntype.Boolean:
		return c.integer(e, v, text)
	case columntype.Year:
		return c.year(e, v, text)
	case columntype.Decimal, columntype.Float:
		return c.number(e, v, text)
	case columntype.Moment, columntype.Date, columntype.Clock:
		return e.moment(c.Kind, text)
	case columntype.Binary:
		return e.append(Bytes, text)
	default: // the text of a string, the digits of a number, true, false, or the JSON text of an object or array
		return e.append(Text, text)
	}
}

// mismatch quotes a short value; a long one is somebody's record.
func (c *Column) mismatch(v jsontext.Value) error {
	const long = 80
	if len(v) > long {
		return fmt.Errorf("%s… (%d bytes) is not %s", bytes.ToValidUTF8(v[:long], nil), len(v), c.Kind.Want())
	}
	return fmt.Errorf("%s is not %s", v, c.Kind.Want())
}

func (c *Column) integer(e *encoder, v jsontext.Value, text []byte) error {
	switch v.Kind() {
	case 't':
		return e.append(Number, []byte{'1'})
	case 'f':
		return e.append(Number, []byte{'0'})
	case '"':
		v = bytes.TrimSpace(text)
	default:
	}
	if digits := bytes.TrimPrefix(v, []byte("-")); len(digits) > 0 && digitsOnly(digits) {
		return e.append(Number, v)
	}
	// 1e3 and 12.0 are whole numbers too; 1.5 is not, and MySQL would round it without a word.
	d, _, err := apd.NewFromString(string(v))
	if err != nil || d.Form != apd.Finite || d.Exponent > 40 {
		return c.mismatch(v)
	}
	whole, fraction := new(apd.Decimal), new(apd.Decimal)
	d.Modf(whole, fraction)
	if !fraction.IsZero() {
		return c.mismatch(v)
	}
	return e.append(Number, []byte(whole.Text('f')))
}

// year takes four digits, and 0, which is the year 0000 in a number and 2000 in a text: LOAD DATA knows only texts.
func (c *Column) year(e *encoder, v jsontext.Value, text []byte) error {
	switch digits := bytes.TrimSpace(text); {
	case v.Kind() == '0' && string(digits) == "0":
		return e.append(Number, []byte("0000"))
	case len(digits) == len("0000") && digitsOnly(digits):
		return e.append(Number, digits)
	default:
		return c.mismatch(v)
	}
}

func digitsOnly(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func (c *Column) number(e *encoder, v jsontext.Value, text []byte) error {
	number := v
	if v.Kind() == '"' {
		if number = bytes.TrimSpace(text); !number.IsValid() || number.Kind() != '0' {
			return c.mismatch(v)
		}
	}
	if c.Kind == columntype.Decimal && bytes.ContainsAny(number, "eE") {
		return e.append(Text, number) // as a number in a statement it would be a double, and lose digits
	}
	return e.append(Number, number)
}
