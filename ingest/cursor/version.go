package cursor

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/pipeline"
)

// Versions reads the versions of a stream's records, as numbers that grow with them. It is read-only and may be used
// concurrently.
type Versions struct {
	rule  string
	as    string // as pipeline.VersionRule.As
	scale int
	reader
}

// NewVersions returns the reader of a stream's versions.
func NewVersions(in *pipeline.Ingest) (Versions, error) {
	rule := in.VersionRule
	v := Versions{as: rule.As, scale: rule.Scale}
	if i := in.Incremental; i != nil && v.as == "" && in.Version == i.Field { // a position that since is found from
		v.as = "time"
		if i.Format == "integer" {
			v.as = "number"
		}
		rule.Format = i.Format
	}
	var err error
	v.rule = fmt.Sprintf("%s %s %d %s %s", in.Version, v.as, v.scale, rule.Format, in.TimeZone)
	v.reader, err = newReader(rule.Format, in.TimeZone)
	return v, err
}

// newReader returns the reader of times in a format of the pipeline file, in a zone.
func newReader(format, zone string) (r reader, err error) {
	if zone != "" {
		if r.zone, err = time.LoadLocation(zone); err != nil {
			return r, fmt.Errorf("time_zone: %w", err)
		}
	}
	if pipeline.OwnFormat(format) {
		if r.layout, err = pipeline.Layout(format); err != nil {
			return r, fmt.Errorf("format: %w", err)
		}
	}
	return r, nil
}

// Rule names how versions are read: numbers of two rules are not compared.
func (v Versions) Rule() string { return v.rule }

// Times reports whether versions are times, and numbers of nanoseconds.
func (v Versions) Times() bool { return v.as == "time" }

// Version is the number of a version: of a time its nanoseconds since 1970, of a number itself, times 10^scale where
// there is one. The error says what is wrong with the value: that it is absent is [Absent].
func (v Versions) Version(value jsontext.Value) (int64, error) {
	n, _, err := v.Read(value)
	return n, err
}

// Kind is what versions are that are compared with one another.
type Kind uint8

// The kinds of versions.
const (
	NoVersion Kind = iota
	Number
	Time
)

// String is the kind in words.
func (k Kind) String() string { return [...]string{"none", "numbers", "times"}[k] }

// Read is [Versions.Version], and what kind of version it is.
func (v Versions) Read(value jsontext.Value) (n int64, kind Kind, err error) {
	if Absent(value) {
		return 0, NoVersion, errAbsent
	}
	kind = Number
	switch v.as {
	case "time":
		at, _, err := v.time(value, false)
		if err != nil {
			return 0, NoVersion, err
		}
		return nanos(at), Time, nil
	case "number":
		n, err = scaled(value, v.scale)
	case "unsigned":
		n, err = unsigned(value)
	case "digits":
		n, err = digits(value)
	case "hex":
		n, err = hexadecimal(value)
	default:
		if value.Kind() == '"' {
			if at, _, ok := v.text(unquoted(value), false); ok {
				return nanos(at), Time, nil
			}
		}
		if n, err = scaled(value, 0); errors.Is(err, errNoNumber) {
			err = errNoVersion
		}
	}
	return n, kind, err
}

var errNoVersion = fmt.Errorf("is neither a time nor a number: version.as says how others are compared")

// Absent reports whether a record does not have a field, or has null there.
func Absent(v jsontext.Value) bool { return v == nil || v.Kind() == 'n' }

// time reads a time in a text or a number. note asks for its form.
func (r reader) time(v jsontext.Value, note bool) (at time.Time, form Form, err error) {
	ok := false
	if v.Kind() == '"' {
		at, form, ok = r.text(unquoted(v), note)
	}
	if !ok && r.layout == "" {
		at, form, ok = instant(v)
	}
	if !ok {
		return at, form, errNoTime
	}
	return at, form, nil
}

// unsigned places the whole numbers from 0 to 2^64-1.
func unsigned(v jsontext.Value) (int64, error) {
	text, err := number(v)
	if err != nil {
		return 0, err
	}
	if text, err = shift(text, 0); err != nil {
		return 0, err
	}
	return fromUnsigned(string(text))
}

// digits takes the first digits of a text: v12, 12-ab.
func digits(v jsontext.Value) (int64, error) {
	text := []byte(v)
	if v.Kind() == '"' {
		text = unquoted(v)
	}
	start := 0
	for start < len(text) && (text[start] < '0' || text[start] > '9') {
		start++
	}
	end := start
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	if end == start {
		return 0, errNoDigits
	}
	n, err := parseInt(text[start:end])
	if err != nil {
		return 0, errRange
	}
	return n, nil
}

var (
	errNoDigits = fmt.Errorf("has no digits")
	errNoHex    = fmt.Errorf("is not a hexadecimal number")
)

// hexadecimal reads a text such as 0x00000000000007D2, of 64 bits without a sign.
func hexadecimal(v jsontext.Value) (int64, error) {
	if v.Kind() != '"' {
		return 0, errNoHex
	}
	text := unquoted(v)
	if len(text) > 2 && text[0] == '0' && text[1]|0x20 == 'x' {
		text = text[2:]
	}
	for len(text) > 16 && text[0] == '0' {
		text = text[1:]
	}
	if len(text) > 16 {
		return 0, errRange
	}
	var full [16]byte
	copy(full[:], "0000000000000000")
	copy(full[16-len(text):], text)
	var b [8]byte
	if _, err := hex.Decode(b[:], full[:]); err != nil || len(text) == 0 {
		return 0, errNoHex
	}
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return int64(n ^ 1<<63), nil
}

func fromUnsigned(text string) (int64, error) {
	var n uint64
	if text == "" || text[0] == '-' {
		return 0, errRange
	}
	for _, c := range []byte(text) {
		d := uint64(c - '0')
		if n > (math.MaxUint64-d)/10 {
			return 0, errRange
		}
		n = n*10 + d
	}
	return int64(n ^ 1<<63), nil
}
