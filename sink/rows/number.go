package rows

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/cockroachdb/apd/v3"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	longestNumber = 400 // characters of a number; none that a column holds has more, but for zeros
	wholeDigits   = 40  // of an integer: more than any type has
	// of a DECIMAL, and decimalPlaces of them behind the point (MySQL Reference Manual, "DECIMAL Data Type
	// Characteristics").
	decimalDigits = 65
	decimalPlaces = 30
)

// outOfRange quotes a short value.
func outOfRange(v []byte) error { return fmt.Errorf("%s is out of range", quoted(v)) }

// inText returns the number in a text, which may have spaces around it.
func (c *Column) inText(v jsontext.Value, text []byte) (jsontext.Value, error) {
	if v.Kind() != '"' {
		return v, nil
	}
	if number := jsontext.Value(bytes.TrimSpace(text)); number.IsValid() && number.Kind() == '0' {
		return number, nil
	}
	return nil, c.mismatch(v)
}

// integer takes whole numbers, however they are written: 12, 12.0, 1.2e1; and texts of digits with zeros before them.
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
	digits := bytes.TrimPrefix(v, []byte("-"))
	if len(digits) > 0 && digitsOnly(digits) {
		if len(digits) < len(v) && digits[0] != '0' && len(digits) <= wholeDigits {
			return e.append(Number, v)
		}
		return c.whole(e, v, len(digits) < len(v), digits)
	}
	if len(v) > longestNumber || !v.IsValid() || v.Kind() != '0' {
		return c.mismatch(v)
	}
	// 1e3 and 12.0 are whole numbers too; 1.5 is not, and MySQL would round it without a word.
	d, _, err := apd.NewFromString(string(v))
	if err != nil || d.Form != apd.Finite {
		return c.mismatch(v)
	}
	if d.Exponent > wholeDigits && !d.IsZero() {
		return outOfRange(v)
	}
	whole, fraction := new(apd.Decimal), new(apd.Decimal)
	d.Modf(whole, fraction)
	if !fraction.IsZero() {
		return c.mismatch(v)
	}
	negative := whole.Negative
	return c.whole(e, v, negative, []byte(whole.Abs(whole).Text('f')))
}

// whole appends digits without zeros before them, and no minus before zero.
func (c *Column) whole(e *encoder, v []byte, negative bool, digits []byte) error {
	digits = bytes.TrimLeft(digits, "0")
	switch {
	case len(digits) == 0:
		return e.append(Number, []byte{'0'})
	case len(digits) > wholeDigits:
		return outOfRange(v)
	case negative:
		e.scratch = append(append(e.scratch[:0], '-'), digits...)
		return e.append(Number, e.scratch)
	}
	return e.append(Number, digits)
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

// double spells the nearest double with an exponent: other digits would be a DECIMAL in a statement, which is shorter.
func (c *Column) double(e *encoder, v jsontext.Value) error {
	x, err := strconv.ParseFloat(string(v), 64)
	if err != nil {
		return outOfRange(v)
	}
	if x == 0 {
		return e.append(Number, []byte{'0'})
	}
	e.scratch = strconv.AppendFloat(e.scratch[:0], x, 'e', -1, 64)
	return e.append(Number, e.scratch)
}

// decimal spells a number without an exponent, with as many decimal places as the column has, or more where they are
// not zero: a number with an exponent would be a double in a statement, and lose digits. What is beyond the places that
// any DECIMAL has is cut.
func (c *Column) decimal(e *encoder, v jsontext.Value) error {
	plain := []byte(v)
	if bytes.ContainsAny(v, "eE") {
		d, _, err := apd.NewFromString(string(v))
		switch {
		case err != nil || len(v) > longestNumber || !d.IsZero() && d.Exponent > decimalDigits:
			return outOfRange(v)
		case d.IsZero() || int64(d.Exponent)+d.NumDigits() < -decimalPlaces:
			plain = []byte{'0'}
		default:
			plain = []byte(d.Text('f'))
		}
	}
	digits, negative := bytes.CutPrefix(plain, []byte("-"))
	whole, places, _ := bytes.Cut(digits, []byte("."))
	whole = bytes.TrimLeft(whole, "0")
	if len(whole) > decimalDigits {
		return outOfRange(v)
	}
	places = places[:min(len(places), decimalPlaces, decimalDigits-len(whole))]
	zero := len(whole) == 0 && len(bytes.TrimLeft(places, "0")) == 0
	e.scratch = e.scratch[:0]
	if negative && !zero {
		e.scratch = append(e.scratch, '-')
	}
	if len(whole) == 0 {
		whole = []byte{'0'}
	}
	e.scratch = appendPlaces(append(e.scratch, whole...), places, c.places)
	return e.append(Number, e.scratch)
}

func digitsOnly(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
