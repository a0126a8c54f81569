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
	integer  bool // compared as they are; else they are times
	sent     Form // of the parameter; empty: as the field is
	lookback time.Duration
	reader
}

// NewScale returns the scale of a stream, which may have none.
func NewScale(in *pipeline.Ingest) (Scale, error) {
	i := in.Incremental
	if i == nil {
		return Scale{}, nil
	}
	if i.Format == "integer" {
		return Scale{integer: true}, nil
	}
	s := Scale{lookback: i.Lookback}
	var err error
	if s.reader, err = newReader(i.Format, in.TimeZone); err != nil {
		return s, err
	}
	switch i.Format {
	case "":
	case "rfc3339":
		s.sent = rfc3339
	case "date":
		s.sent = "2006-01-02"
	case "unix", "unix_ms", "unix_us", "unix_ns":
		s.sent = Form(i.Format)
	default:
		s.sent = Form(s.layout)
	}
	return s, nil
}

// Kind names the scale in a cursor: a position on one does not count on another.
func (s Scale) Kind() string {
	if s.integer {
		return kindInteger
	}
	return kindTime
}

// Kinds of scales.
const (
	kindInteger = "integer"
	kindTime    = "time"
)

// Value places a field's value on the scale. The error says why it has no place there.
func (s Scale) Value(v jsontext.Value) (int64, error) {
	if Absent(v) {
		return 0, errAbsent
	}
	if s.integer {
		return scaled(v, 0)
	}
	at, _, err := s.time(v, false)
	if err != nil {
		return 0, err
	}
	return at.UnixMicro(), nil
}

// Form is how a field's value is written, so that since can be sent alike; empty: it is none that has a place on the
// scale.
func (s Scale) Form(v jsontext.Value) Form {
	if s.integer || Absent(v) {
		return ""
	}
	_, form, _ := s.time(v, true)
	return form
}

// Parse reads the start value of the pipeline file.
func (s Scale) Parse(start string) (int64, error) {
	n, err := s.Value(quoted(start))
	if err != nil {
		return 0, fmt.Errorf("incremental.start: %q %w", start, err)
	}
	return n, nil
}

// quoted is a text as JSON; of one that is not valid UTF-8, null.
func quoted(text string) jsontext.Value {
	v, err := jsontext.AppendQuote(nil, text)
	if err != nil {
		return jsontext.Value("null")
	}
	return v
}

// Doubtful reports whether times in that form may lie hours from where they are placed, as their zone is not known.
func (s Scale) Doubtful(field Form) bool { return !s.integer && s.zone == nil && !field.zoned() }

// anyZone is how far a time without a zone may be from where it would be in UTC.
const anyZone = 24 * time.Hour

// Ask is the value of the parameter for a pass from since, for a field whose values are in that form: since less the
// look-back, rounded down to what the form can say; from is the same on the scale.
func (s Scale) Ask(since int64, field Form) (param string, from int64) {
	if s.integer {
		return strconv.FormatInt(since, 10), since
	}
	lookback := s.lookback
	if s.Doubtful(field) {
		lookback = max(lookback, anyZone)
	}
	at := time.UnixMicro(since).UTC().Add(-lookback - s.repeated(since, field))
	sent := s.sent
	if sent == "" {
		sent = field
	}
	param, at = sent.format(at, s.local())
	return param, at.UnixMicro()
}

// repeated is how far to look back where a clock was set back: for times without a zone, an hour comes twice.
func (s Scale) repeated(since int64, field Form) time.Duration {
	if s.zone == nil || field.zoned() && s.sent.zoned() {
		return 0
	}
	const near = 3 * time.Hour
	at := time.UnixMicro(since).In(s.zone)
	_, before := at.Add(-near).Zone()
	_, after := at.Add(near).Zone()
	return max(0, time.Duration(before-after)*time.Second)
}

// Floor is the value from which on records may be fetched again when a pass asks from since; nil: everything may.
func (s Scale) Floor(since *int64, field Form) int64 {
	if since == nil {
		return math.MinInt64
	}
	_, from := s.Ask(*since, field)
	return from
}
