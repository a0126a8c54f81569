package cursor

import (
	"strconv"
	"strings"
	"time"
)

// Form is how an API writes a time: a layout of package time, or a unit of the time since 1970. Empty: not known.
type Form string

const (
	rfc3339   Form = time.RFC3339 // of all that ISO 8601 allows with a zone
	unix      Form = "unix"
	unixMilli Form = "unix_ms"
	unixMicro Form = "unix_us"
	unixNano  Form = "unix_ns"
)

// zoned reports whether an instant in that form is known without knowing where it was written.
func (f Form) zoned() bool {
	switch f {
	case "", rfc3339, unix, unixMilli, unixMicro, unixNano:
		return true
	default:
	}
	return strings.Contains(string(f), "Z07") || strings.Contains(string(f), "-07") ||
		strings.Contains(string(f), "GMT") || strings.Contains(string(f), "UTC")
}

// unit is the step to which a time in that form is rounded down when it is sent, 0 for a day: not every API reads
// fractions, and to ask from an earlier time is always right.
func (f Form) unit() time.Duration {
	switch {
	case f == unixMilli:
		return time.Millisecond
	case f == unixMicro, f == unixNano:
		return time.Microsecond
	case f == unix || strings.Contains(string(f), "05"):
		return time.Second
	case strings.Contains(string(f), "04"):
		return time.Minute
	case strings.Contains(string(f), "15") || strings.Contains(string(f), "03"):
		return time.Hour
	}
	return 0
}

// format writes a time, which names how much of it is there, and returns the time that the text names.
func (f Form) format(at time.Time, local *time.Location) (text string, named time.Time) {
	switch f {
	case "", rfc3339:
		f = rfc3339
	case unix:
		at = floor(at, time.Second)
		return strconv.FormatInt(at.Unix(), 10), at
	case unixMilli:
		at = floor(at, time.Millisecond)
		return strconv.FormatInt(at.UnixMilli(), 10), at
	case unixMicro:
		return strconv.FormatInt(at.UnixMicro(), 10), at
	case unixNano:
		return strconv.FormatInt(at.UnixMicro(), 10) + "000", at
	default:
	}
	at = at.In(time.UTC)
	if !f.zoned() {
		at = at.In(local)
	}
	if unit := f.unit(); unit > 0 {
		at = floor(at, unit)
	} else {
		at = time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, at.Location())
	}
	return at.Format(string(f)), at
}

// floor rounds down. Hours of zones that are not whole hours away from UTC begin at another minute.
func floor(at time.Time, unit time.Duration) time.Time {
	_, offset := at.Zone()
	past := (time.Duration(at.Unix()+int64(offset))%(24*3600))*time.Second + time.Duration(at.Nanosecond())
	past = (past%unit + unit) % unit
	return at.Add(-past)
}
