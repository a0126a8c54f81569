package expression

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/apd/v3"
)

// Times are texts as MySQL reads them, in UTC, with as many decimal places of the second as there are, at
// most six.
const (
	mysqlTime = "2006-01-02 15:04:05.999999"
	mysqlDate = "2006-01-02"
)

var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", mysqlDate, time.RFC1123Z, time.RFC1123}

// parseTime reads a text with a layout, or with any of the usual ones. Without an offset it is UTC.
func parseTime(f *Frame, args []Value) (time.Time, error) {
	s := string(f.str(args[0]))
	if len(args) == 2 {
		t, err := time.ParseInLocation(string(f.str(args[1])), s, time.UTC)
		if err != nil {
			return t, err
		}
		return inUTC(t)
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, s, time.UTC); err == nil {
			return inUTC(t)
		}
	}
	return time.Time{}, fmt.Errorf("%.60q is not a time; give its layout as a second argument, for example \"02/01/2006 15:04\"", s)
}

// inUTC refuses a zone that is only a name, for a name means one offset here and another there: Go takes those that it
// does not know in the place where it runs for UTC.
func inUTC(t time.Time) (time.Time, error) {
	if name, offset := t.Zone(); offset == 0 && name != "" && name != "UTC" && name != "GMT" {
		return t, fmt.Errorf("the zone %s is not known: use UTC, GMT or an offset such as -0500", name)
	}
	return t.UTC(), nil
}

func (f *Frame) formatTime(t time.Time, layout string) (Value, error) {
	t = t.UTC()
	if t.Year() < 0 || t.Year() > 9999 {
		return Value{}, errors.New("the year is not between 0 and 9999")
	}
	return f.keep(func(dst []byte) []byte { return t.AppendFormat(dst, layout) }), nil
}

func datetime(f *Frame, args []Value) (Value, error) {
	t, err := parseTime(f, args)
	if err != nil {
		return Value{}, err
	}
	return f.formatTime(t, mysqlTime)
}

func date(f *Frame, args []Value) (Value, error) {
	t, err := parseTime(f, args)
	if err != nil {
		return Value{}, err
	}
	return f.formatTime(t, mysqlDate)
}

func fromUnix(f *Frame, args []Value) (Value, error) { return f.fromEpoch(args[0], integer(1_000_000)) }

func fromUnixMilli(f *Frame, args []Value) (Value, error) {
	return f.fromEpoch(args[0], integer(1_000))
}

// fromEpoch takes the microseconds since 1970 to be v times unit; what is less than a microsecond is cut off.
func (f *Frame) fromEpoch(v, unit Value) (Value, error) {
	n, err := v.decoded()
	if err != nil {
		return n, err
	}
	if n, err = multiply(n, unit); err != nil {
		return n, err
	}
	if n, err = rounded(n, 0, apd.RoundFloor); err != nil {
		return n, err
	}
	micros, err := index(n)
	if err != nil {
		return n, errors.New("the year is not between 0 and 9999")
	}
	return f.formatTime(time.UnixMicro(int64(micros)), mysqlTime)
}

// toUnix has the decimal places of the text.
func toUnix(f *Frame, args []Value) (Value, error) {
	t, err := parseTime(f, args)
	if err != nil {
		return Value{}, err
	}
	whole, fraction := t.Unix(), int64(t.Nanosecond())
	nanos, ok := mul64(whole, 1_000_000_000)
	if !ok || fraction == 0 {
		return integer(whole), nil
	}
	return trimmedSigned(nanos+fraction, 9), nil
}

func toUnixMilli(f *Frame, args []Value) (Value, error) {
	t, err := parseTime(f, args)
	return integer(t.UnixMilli()), err
}

func trimmedSigned(n int64, scale int32) Value { return trimmed(magnitude(n), scale, n < 0) }
