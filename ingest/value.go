package ingest

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/pipeline"
)

// version is a record's version as a number that grows with it: a number as it is, without what follows the point; a
// time as microseconds since 1970. Two versions that give the same number are told apart by the order in which they
// were committed.
func version(v jsontext.Value) (int64, bool) {
	n, _, ok := number(v)
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
		text = v[1 : len(v)-1] // neither times nor numbers are ever escaped but by those who mean to be a nuisance
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
var layouts = []string{"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02"}

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

// scale is how the values of an incremental field are compared and sent.
type scale struct {
	integer  bool   // compared as they are; else they are times, in microseconds
	format   string // of the parameter
	lookback int64  // microseconds; 0 for integers
}

func newScale(i *pipeline.Incremental) scale {
	if i == nil {
		return scale{}
	}
	s := scale{integer: i.Format == "integer", format: i.Format, lookback: i.Lookback.Microseconds()}
	if s.integer {
		s.lookback = 0
	}
	return s
}

func (s scale) kind() string {
	if s.integer {
		return "integer"
	}
	return "time"
}

// value places a field's value on the scale.
func (s scale) value(v jsontext.Value) (int64, bool) {
	n, isTime, ok := number(v)
	switch {
	case !ok || s.integer && isTime:
		return 0, false
	case s.integer || isTime:
		return n, true
	}
	return micros(n), true
}

// micros takes a number to be a time in the unit that puts it nearest to our days: seconds until the year 5138, then
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

// parse reads the start value of the pipeline file.
func (s scale) parse(start string) (int64, error) {
	if t, ok := parseTime(start); ok && !s.integer {
		return t.UnixMicro(), nil
	}
	n, err := strconv.ParseInt(start, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("incremental.start: %q is not in the format %s", start, s.format)
	}
	if s.integer {
		return n, nil
	}
	return micros(n), nil
}

// ask is the value of the parameter for a pass from since: since less the look-back, rounded down to what the format
// can say; from is the same on the scale.
func (s scale) ask(since int64) (param string, from int64) {
	from = since - s.lookback
	floor := func(unit int64) int64 {
		return from - (from%unit+unit)%unit
	}
	switch s.format {
	case "integer":
		return strconv.FormatInt(from, 10), from
	case "unix":
		from = floor(1e6)
		return strconv.FormatInt(from/1e6, 10), from
	case "unix_ms":
		from = floor(1e3)
		return strconv.FormatInt(from/1e3, 10), from
	}
	from = floor(1e6) // not every API reads fractions
	return time.UnixMicro(from).UTC().Format(time.RFC3339), from
}
