package rows

import (
	"bytes"
	"fmt"

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
		number, err := c.inText(v, text)
		switch {
		case err != nil:
			return err
		case c.Kind == columntype.Decimal:
			return c.decimal(e, number)
		default:
			return c.double(e, number)
		}
	case columntype.Moment, columntype.Date, columntype.Clock:
		return c.moment(e, text)
	case columntype.Binary:
		return e.append(Bytes, text)
	default: // the text of a string, the digits of a number, true, false, or the JSON text of an object or array
		return e.append(Text, text)
	}
}

// mismatch quotes a short value; a long one is somebody's record.
func (c *Column) mismatch(v jsontext.Value) error {
	return fmt.Errorf("%s is not %s", quoted(v), c.Kind.Want())
}

// noTime is the mismatch of a text.
func (c *Column) noTime(text []byte) error {
	return fmt.Errorf("%q is not %s", quoted(text), c.Kind.Want())
}

// quoted shortens what is long.
func quoted(v []byte) string {
	const long = 80
	if len(v) > long {
		return fmt.Sprintf("%s… (%d bytes)", bytes.ToValidUTF8(v[:long], nil), len(v))
	}
	return string(v)
}
