package cursor

import (
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Version is a record's version as a number that grows with it: a number as it is, without what follows the point; a
// time as microseconds since 1970. ok is false if v is neither. Two versions that give the same number are told apart
// by the order in which they were committed.
func Version(v jsontext.Value) (n int64, ok bool) {
	n, _, ok = number(v)
	return n, ok
}

// number reads a JSON number, a number in a string, or a time in a string (then in microseconds).
func number(v jsontext.Value) (n int64, isTime, ok bool) {
	if v == nil {
		return 0, false, false
	}
	text := v
	switch v.Kind() {
	case '0':
	case '"':
		if len(v) < 2 {
			return 0, false, false
		}
		text = v[1 : len(v)-1] // an escaped time or number counts as neither
		if t, ok := parseTime(string(text)); ok {
			return t.UnixMicro(), true, true
		}
	default:
		return 0, false, false
	}
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return n, false, true
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, false, false
	}
	switch f = math.Floor(f); {
	case f >= math.MaxInt64:
		return math.MaxInt64, false, true
	case f <= math.MinInt64:
		return math.MinInt64, false, true
	}
	return int64(f), false, true
}

// layouts of times besides RFC 3339; those without a zone are UTC.
var layouts = []string{
	"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02",
}

func parseTime(s string) (time.Time, bool) {
	if len(s) < len("2006-01-02") || s[4] != '-' {
		return time.Time{}, false
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, true
	}
	for _, l := range layouts {
		if t, err := time.Parse(l, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// micros is a number read as a time, in the unit that its size suggests: seconds until the year 5138, then
// milliseconds, microseconds, nanoseconds.
func micros(n int64) int64 {
	switch a := max(n, -n); {
	case a < 1e11:
		return n * 1e6
	case a < 1e14:
		return n * 1e3
	case a < 1e17:
		return n
	}
	return n / 1e3
}
