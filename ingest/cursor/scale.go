package cursor

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/pipeline"
)

// Scale is how the values of an incremental field are compared and sent. Its numbers are microseconds since 1970 for
// times, and the values themselves for integers. It is read-only and may be used concurrently.
type Scale struct {
	integer  bool   // compared as they are; else they are times
	format   string // of the parameter
	lookback int64  // microseconds; 0 for integers
}

// NewScale returns the scale of a stream; i may be nil.
func NewScale(i *pipeline.Incremental) Scale {
	if i == nil {
		return Scale{}
	}
	s := Scale{integer: i.Format == "integer", format: i.Format, lookback: i.Lookback.Microseconds()}
	if s.integer {
		s.lookback = 0
	}
	return s
}

// Kind names the scale in a cursor: a position on one does not count on another.
func (s Scale) Kind() string {
	if s.integer {
		return kindInteger
	}
	return kindTime
}

const (
	kindInteger = "integer"
	kindTime    = "time"
)

// Value places a field's value on the scale; ok is false if it has no place there.
func (s Scale) Value(v jsontext.Value) (n int64, ok bool) {
	n, isTime, ok := number(v)
	switch {
	case !ok || s.integer && isTime:
		return 0, false
	case s.integer || isTime:
		return n, true
	}
	return micros(n), true
}

// Parse reads the start value of the pipeline file.
func (s Scale) Parse(start string) (int64, error) {
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

// Ask is the value of the parameter for a pass from since: since less the look-back, rounded down to what the format
// can say; from is the same on the scale.
func (s Scale) Ask(since int64) (param string, from int64) {
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

// Floor is the value from which on records may be fetched again when a pass asks from since; nil: everything may.
func (s Scale) Floor(since *int64) int64 {
	if since == nil {
		return math.MinInt64
	}
	_, from := s.Ask(*since)
	return from
}
