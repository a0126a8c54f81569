package sink

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/pipeline"
)

// kind is what a column makes of a JSON value.
type kind uint8

const (
	kindText kind = iota
	kindInteger
	kindDecimal
	kindFloat
	kindBoolean
	kindTime  // datetime and timestamp: date and time of day, in UTC
	kindDate  //
	kindClock // time
	kindJSON
	kindBinary
)

// column is a column of the table, ready for use.
type column struct {
	pipeline.ColumnType
	kind kind
}

func newColumn(c pipeline.ColumnType) column {
	return column{c, kindOf(c.Type)}
}

// kindOf reads the type's first word.
func kindOf(sqlType string) kind {
	word, _, _ := strings.Cut(strings.ToLower(sqlType), "(")
	word, _, _ = strings.Cut(strings.TrimSpace(word), " ")
	switch word {
	case "tinyint":
		if strings.HasPrefix(sqlType, "tinyint(1)") {
			return kindBoolean
		}
		return kindInteger
	case "smallint", "mediumint", "int", "integer", "bigint", "year":
		return kindInteger
	case "decimal", "numeric", "dec", "fixed":
		return kindDecimal
	case "double", "float", "real":
		return kindFloat
	case "boolean", "bool":
		return kindBoolean
	case "datetime", "timestamp":
		return kindTime
	case "date":
		return kindDate
	case "time":
		return kindClock
	case "json":
		return kindJSON
	case "binary", "varbinary", "blob", "tinyblob", "mediumblob", "longblob":
		return kindBinary
	default:
		return kindText
	}
}

var null = []byte("NULL")

// literal appends the SQL literal of a JSON value for column c. An error says why the column cannot hold the
// value; what depends on the column's size or range is left to the database, in strict mode.
func (c *column) literal(dst []byte, v jsontext.Value, quote quoter) ([]byte, error) {
	k := v.Kind()
	if k == 'n' {
		if c.NotNull || c.Key {
			return nil, fmt.Errorf("column %s: null, and the column must have a value", c.Name)
		}
		return append(dst, null...), nil
	}
	var out []byte
	var err error
	switch c.kind {
	case kindInteger, kindBoolean:
		out, err = c.integer(dst, v, k)
	case kindDecimal, kindFloat:
		out, err = c.number(dst, v, k, quote)
	case kindJSON:
		return quote.text(dst, v), nil
	case kindTime, kindDate, kindClock:
		out, err = c.moment(dst, v, k, quote)
	case kindBinary:
		out, err = c.binary(dst, v, k, quote)
	default:
		return quote.json(dst, v)
	}
	if err != nil {
		return nil, fmt.Errorf("column %s %s: %w", c.Name, c.Type, err)
	}
	return out, nil
}

// mismatch quotes a short value; a long one is somebody's record.
func mismatch(v jsontext.Value, want string) error {
	const long = 80
	if len(v) > long {
		return fmt.Errorf("%s… (%d bytes) is not %s", bytes.ToValidUTF8(v[:long], nil), len(v), want)
	}
	return fmt.Errorf("%s is not %s", v, want)
}

func (c *column) integer(dst []byte, v jsontext.Value, k jsontext.Kind) ([]byte, error) {
	switch k {
	case 't':
		return append(dst, '1'), nil
	case 'f':
		return append(dst, '0'), nil
	case '"':
		text, err := jsontext.AppendUnquote(nil, v)
		if err != nil {
			return nil, err
		}
		v = jsontext.Value(bytes.TrimSpace(text))
	case '0':
	default:
		return nil, mismatch(v, "a whole number")
	}
	if digits := bytes.TrimPrefix(v, []byte("-")); len(digits) > 0 && digitsOnly(digits) {
		return append(dst, v...), nil
	}
	// 1e3 and 12.0 are whole numbers too; 1.5 is not, and MySQL would round it without a word.
	d, _, err := apd.NewFromString(string(v))
	if err != nil || d.Form != apd.Finite || d.Exponent > 40 {
		return nil, mismatch(v, "a whole number")
	}
	whole, fraction := new(apd.Decimal), new(apd.Decimal)
	d.Modf(whole, fraction)
	if !fraction.IsZero() {
		return nil, mismatch(v, "a whole number")
	}
	return append(dst, whole.Text('f')...), nil
}

func digitsOnly(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func (c *column) number(dst []byte, v jsontext.Value, k jsontext.Kind, quote quoter) ([]byte, error) {
	switch k {
	case '0':
	case '"':
		text, err := jsontext.AppendUnquote(nil, v)
		if err != nil {
			return nil, err
		}
		number := jsontext.Value(bytes.TrimSpace(text))
		if !number.IsValid() || number.Kind() != '0' {
			return nil, mismatch(v, "a number")
		}
		v = number
	default:
		return nil, mismatch(v, "a number")
	}
	if c.kind == kindDecimal && bytes.ContainsAny(v, "eE") {
		return quote.text(dst, v), nil // as a literal it would be a double, and lose digits
	}
	return append(dst, v...), nil
}

// moment takes RFC 3339, which it brings to UTC, and MySQL's own formats, which it leaves to MySQL.
func (c *column) moment(dst []byte, v jsontext.Value, k jsontext.Kind, quote quoter) ([]byte, error) {
	if k != '"' {
		return nil, mismatch(v, "a date or time; make one in a map step, from a number with from_unix or from_unix_ms")
	}
	raw := v[1 : len(v)-1] // dates have nothing to unescape; what has is refused by the database
	if isZulu(raw) {
		return c.zulu(dst, raw), nil
	}
	if len(raw) > 11 && raw[4] == '-' && (raw[10] == 'T' || raw[10] == 't' || raw[10] == ' ') {
		t, err := time.Parse(time.RFC3339Nano, normal(raw))
		switch {
		case err != nil:
		case c.kind == kindTime:
			return quote.text(dst, t.UTC().AppendFormat(nil, "2006-01-02 15:04:05.999999")), nil
		case c.kind == kindDate:
			return quote.text(dst, t.UTC().AppendFormat(nil, "2006-01-02")), nil
		default:
			return quote.text(dst, t.UTC().AppendFormat(nil, "15:04:05.999999")), nil
		}
	}
	text, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return nil, err
	}
	return quote.text(dst, text), nil
}

// isZulu reports whether raw looks like 2024-02-29T23:59:59Z, with or without a fraction: the form that most APIs send,
// which needs no arithmetic. Whether there is such a day is for the database to say.
func isZulu(raw []byte) bool {
	const form = "0000-00-00T00:00:00"
	if len(raw) <= len(form) || raw[len(raw)-1] != 'Z' {
		return false
	}
	for i := range len(form) {
		if c := raw[i]; form[i] == '0' && (c < '0' || c > '9') || form[i] != '0' && c != form[i] {
			return false
		}
	}
	fraction := raw[len(form) : len(raw)-1]
	return len(fraction) == 0 || len(fraction) > 1 && fraction[0] == '.' && digitsOnly(fraction[1:])
}

// zulu appends the literal of such a time, to the microsecond.
func (c *column) zulu(dst, raw []byte) []byte {
	day, clock := raw[:10], raw[11:min(len(raw)-1, 11+len("00:00:00.000000"))]
	dst = append(dst, '\'')
	switch c.kind {
	case kindTime:
		dst = append(append(append(dst, day...), ' '), clock...)
	case kindDate:
		dst = append(dst, day...)
	default:
		dst = append(dst, clock...)
	}
	return append(dst, '\'')
}

func normal(raw []byte) string {
	b := bytes.Clone(raw)
	b[10] = 'T'
	return strings.ToUpper(string(b))
}

func (c *column) binary(dst []byte, v jsontext.Value, k jsontext.Kind, quote quoter) ([]byte, error) {
	if k != '"' {
		return nil, mismatch(v, "a string")
	}
	text, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return nil, err
	}
	return quote.bytes(dst, text), nil
}

// quoter writes string literals in one database's way.
type quoter interface {
	text(dst, s []byte) []byte                         // a string
	json(dst []byte, v jsontext.Value) ([]byte, error) // a string that is a JSON value's text
	bytes(dst, b []byte) []byte                        // bytes
}

// textOf is the text that a character column keeps of a JSON value: that of a string, the digits of a number, true, false,
// or the JSON text of an object or array.
func textOf(v jsontext.Value) ([]byte, error) {
	if v.Kind() == '"' {
		return jsontext.AppendUnquote(nil, v)
	}
	return v, nil
}

func appendHex(dst, b []byte) []byte {
	dst = append(dst, 'X', '\'')
	for _, x := range b {
		const digits = "0123456789ABCDEF"
		dst = append(dst, digits[x>>4], digits[x&15])
	}
	return append(dst, '\'')
}

func appendUint(dst []byte, n uint64) []byte { return strconv.AppendUint(dst, n, 10) }
