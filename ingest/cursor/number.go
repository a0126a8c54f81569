package cursor

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/internal/canonical"
)

func parseInt(b []byte) (int64, error) { return strconv.ParseInt(string(b), 10, 64) }

// Why a value is not what it should be.
var (
	errAbsent   = errors.New("is missing or null")
	errNoTime   = errors.New("is not a time in a form that is known; incremental.format names others")
	errNoNumber = errors.New("is not a number")
	errFraction = errors.New("has more digits behind the point than count: version.scale says how many do")
	errRange    = errors.New("has more than 64 bits; version.as: unsigned takes all of 64 bits without a sign")
)

// number returns the number that a value is, or that the text of it is: its one spelling, see [canonical.AppendNumber].
func number(v jsontext.Value) ([]byte, error) {
	switch v.Kind() {
	case '0':
		return canonical.AppendNumber(nil, v), nil
	case '"':
		if n, ok := canonical.NumberOf(unquoted(v)); ok {
			return n, nil
		}
	default:
	}
	return nil, errNoNumber
}

// scaled is the number with its point moved by scale digits to the right: a whole number from -2^63.
func scaled(v jsontext.Value, scale int) (n int64, err error) {
	if scale == 0 && v.Kind() == '0' {
		if n, err := parseInt(v); err == nil {
			return n, nil
		}
	}
	text, err := number(v)
	if err != nil {
		return 0, err
	}
	if text, err = shift(text, scale); err != nil {
		return 0, err
	}
	n, err = parseInt(text)
	if err != nil {
		return 0, errRange
	}
	return n, nil
}

// shift moves the point of a number in its one spelling.
func shift(text []byte, scale int) ([]byte, error) {
	if bytes.IndexByte(text, 'e') >= 0 {
		return nil, errRange
	}
	whole, fraction, _ := bytes.Cut(text, []byte("."))
	if len(fraction) > scale {
		return nil, errFraction
	}
	out := append(append(make([]byte, 0, len(whole)+scale), whole...), fraction...)
	return append(out, bytes.Repeat([]byte("0"), scale-len(fraction))...), nil
}

// instant reads a number as a time since 1970, in the unit that its size suggests: seconds until the year 5138, then
// milliseconds, microseconds, nanoseconds.
func instant(v jsontext.Value) (at time.Time, form Form, ok bool) {
	text, err := []byte(v), error(nil)
	if _, short := parseInt(text); short != nil {
		text, err = number(v)
	}
	if err != nil || bytes.IndexByte(text, 'e') >= 0 {
		return at, "", false
	}
	whole, fraction, _ := bytes.Cut(text, []byte("."))
	n, err := parseInt(whole)
	if err != nil {
		return at, "", false
	}
	var nine [9]byte
	copy(nine[:], "000000000")
	copy(nine[:], fraction)
	billionths, err := parseInt(nine[:])
	if err != nil {
		return at, "", false
	}
	if text[0] == '-' {
		billionths = -billionths
	}
	switch a := max(n, -n); {
	case a < 1e11:
		return time.Unix(n, billionths), unix, true
	case a < 1e14:
		return time.UnixMilli(n).Add(time.Duration(billionths / 1e3)), unixMilli, true
	case a < 1e17:
		return time.UnixMicro(n).Add(time.Duration(billionths / 1e6)), unixMicro, true
	}
	return time.Unix(n/1e9, n%1e9), unixNano, true
}

// nanos are those since 1970, or the nearest number that 64 bits hold: from 1677 to 2262 instants are told apart.
func nanos(at time.Time) int64 {
	switch seconds := at.Unix(); {
	case seconds > math.MaxInt64/1_000_000_000-1:
		return math.MaxInt64
	case seconds < math.MinInt64/1_000_000_000+1:
		return math.MinInt64
	}
	return at.UnixNano()
}
