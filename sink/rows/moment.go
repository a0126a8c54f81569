package rows

import (
	"bytes"
	"strings"
	"time"

	"github.com/millrace-io/millrace/internal/columntype"
)

// moment takes RFC 3339, which it brings to UTC, and MySQL's own formats, which it leaves to MySQL.
func (e *encoder) moment(column columntype.Kind, text []byte) error {
	if isZulu(text) {
		return e.zulu(column, text)
	}
	if len(text) > 11 && text[4] == '-' && (text[10] == 'T' || text[10] == 't' || text[10] == ' ') {
		if t, err := time.Parse(time.RFC3339Nano, normal(text)); err == nil {
			format := "15:04:05.999999"
			switch column {
			case columntype.Moment:
				format = "2006-01-02 15:04:05.999999"
			case columntype.Date:
				format = "2006-01-02"
			default:
			}
			e.scratch = t.UTC().AppendFormat(e.scratch[:0], format)
			return e.append(Text, e.scratch)
		}
	}
	return e.append(Text, text)
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

// zulu appends such a time, to the microsecond.
func (e *encoder) zulu(column columntype.Kind, raw []byte) error {
	day, clock := raw[:10], raw[11:min(len(raw)-1, 11+len("00:00:00.000000"))]
	switch column {
	case columntype.Moment:
		e.scratch = append(append(append(e.scratch[:0], day...), ' '), clock...)
		return e.append(Text, e.scratch)
	case columntype.Date:
		return e.append(Text, day)
	default:
		return e.append(Text, clock)
	}
}

func normal(raw []byte) string {
	b := bytes.Clone(raw)
	b[10] = 'T'
	return strings.ToUpper(string(b))
}
