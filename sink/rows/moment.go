package rows

import (
	"errors"
	"time"

	"github.com/millrace-io/millrace/internal/columntype"
)

// moment is what a date or time says.
type moment struct {
	year, month, day     int
	hour, minute, second int
	fraction             []byte // digits of the second, without the point
	offset               int    // of its zone to UTC, in minutes
	clock                bool   // there is a time of day
}

// The microsecond is what MySQL keeps at most.
const microDigits = 6

// errNoTime says that a text is none of the forms, or that there is no such day or time.
var errNoTime = errors.New("")

// parseMoment reads the forms
//
//	2024-02-29
//	2024-02-29T23:59  2024-02-29 23:59:59  2024-02-29T23:59:59.123
//
// the latter with or without a zone: Z, UTC, GMT, +01:00, +0100 or +01, after a space or not. It takes nothing else.
func parseMoment(b []byte) (m moment, err error) {
	s := scanner{b}
	m.year, m.month, m.day = s.digits(4), s.pair('-'), s.pair('-')
	if len(s.rest) > 0 && !s.bad() {
		if !s.skip('T') && !s.skip('t') && !s.skip(' ') {
			return m, errNoTime
		}
		m.clock = true
		m.hour, m.minute = s.digits(2), s.pair(':')
		m.seconds(&s)
		m.offset = s.zone()
	}
	if s.bad() || len(s.rest) > 0 || !m.exists() {
		return m, errNoTime
	}
	return m, nil
}

// seconds reads what follows the minutes.
func (m *moment) seconds(s *scanner) {
	if s.bad() || len(s.rest) == 0 || s.rest[0] != ':' {
		return
	}
	m.second = s.pair(':')
	if !s.bad() && s.skip('.') {
		m.fraction = s.many()
	}
}

// exists reports whether there is such a day and time. The year 0 is none in MySQL's sense.
func (m *moment) exists() bool {
	if m.year < 1 || m.month < 1 || m.month > 12 || m.day < 1 || m.hour > 23 || m.minute > 59 || m.second > 59 {
		return false
	}
	return m.day <= 28 || m.day <= time.Date(m.year, time.Month(m.month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// utc brings m to UTC. It reports false if that is before the year 1 or after 9999.
func (m *moment) utc() bool {
	if m.offset == 0 {
		return true
	}
	t := time.Date(m.year, time.Month(m.month), m.day, m.hour, m.minute-m.offset, m.second, 0, time.UTC)
	m.year, m.month, m.day = t.Year(), int(t.Month()), t.Day()
	m.hour, m.minute, m.offset = t.Hour(), t.Minute(), 0
	return m.year >= 1 && m.year <= 9999
}

// moment takes the forms of parseMoment, of which a datetime column keeps all, a date column the day in UTC and a time
// column the time of day in UTC; and into a time column those of parseClock. The database gets one spelling.
func (c *Column) moment(e *encoder, text []byte) error {
	if c.Kind == columntype.Clock {
		if negative, hour, m, ok := parseClock(text); ok {
			e.scratch = e.scratch[:0]
			if negative {
				e.scratch = append(e.scratch, '-')
			}
			e.scratch = m.appendClock(e.scratch, hour, c.places)
			return e.append(Text, e.scratch)
		}
	}
	m, err := parseMoment(text)
	if err != nil || !m.utc() || c.Kind == columntype.Clock && !m.clock {
		return c.noTime(text)
	}
	e.scratch = e.scratch[:0]
	if c.Kind != columntype.Clock {
		e.scratch = appendPadded(e.scratch, m.year, 4)
		e.scratch = appendPadded(append(e.scratch, '-'), m.month, 2)
		e.scratch = appendPadded(append(e.scratch, '-'), m.day, 2)
	}
	if c.Kind == columntype.Moment {
		e.scratch = append(e.scratch, ' ')
	}
	if c.Kind != columntype.Date {
		e.scratch = m.appendClock(e.scratch, m.hour, c.places)
	}
	return e.append(Text, e.scratch)
}

// appendClock appends the time of day with places decimal places of the second, or with as many as there are, up to
// six.
func (m *moment) appendClock(dst []byte, hour, places int) []byte {
	dst = appendPadded(dst, hour, 2)
	dst = appendPadded(append(dst, ':'), m.minute, 2)
	dst = appendPadded(append(dst, ':'), m.second, 2)
	return appendPlaces(dst, m.fraction[:min(len(m.fraction), microDigits)], places)
}

// parseClock reads a time that is no time of day in particular: 23:59, 23:59:59.123, -838:59:59. The hours may be more
// than a day's; how many MySQL takes is for MySQL to say.
func parseClock(b []byte) (negative bool, hour int, m moment, ok bool) {
	s := scanner{b}
	negative = s.skip('-')
	n := 0
	for n < len(s.rest) && s.rest[n] != ':' {
		n++
	}
	if n != 2 && n != 3 {
		return false, 0, m, false
	}
	hour, m.minute = s.digits(n), s.pair(':')
	m.seconds(&s)
	return negative, hour, m, !s.bad() && len(s.rest) == 0 && m.minute <= 59 && m.second <= 59
}

// scanner reads a text from its beginning. Once something is not there, rest is nil, and stays it.
type scanner struct{ rest []byte }

func (s *scanner) bad() bool { return s.rest == nil }

// digits reads n digits.
func (s *scanner) digits(n int) (value int) {
	if len(s.rest) < n || !digitsOnly(s.rest[:n]) {
		s.rest = nil
		return 0
	}
	for _, c := range s.rest[:n] {
		value = 10*value + int(c-'0')
	}
	s.rest = s.rest[n:]
	return value
}

// many reads digits, at least one.
func (s *scanner) many() []byte {
	n := 0
	for n < len(s.rest) && s.rest[n] >= '0' && s.rest[n] <= '9' {
		n++
	}
	out := s.rest[:n]
	if s.rest = s.rest[n:]; n == 0 {
		s.rest = nil
	}
	return out
}

// pair reads c and two digits.
func (s *scanner) pair(c byte) int {
	if !s.skip(c) {
		s.rest = nil
	}
	return s.digits(2)
}

// skip reads c if it is there.
func (s *scanner) skip(c byte) bool {
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// zone reads a zone, if there is one, and returns its minutes.
func (s *scanner) zone() int {
	if s.bad() || len(s.rest) == 0 {
		return 0
	}
	s.skip(' ')
	switch string(s.rest) {
	case "Z", "z", "UTC", "GMT":
		s.rest = s.rest[len(s.rest):]
		return 0
	}
	sign := 1
	if s.skip('-') {
		sign = -1
	} else if !s.skip('+') {
		s.rest = nil
		return 0
	}
	hours, minutes := s.digits(2), 0
	if s.skip(':') || len(s.rest) > 0 {
		minutes = s.digits(2)
	}
	if hours > 23 || minutes > 59 {
		s.rest = nil
	}
	return sign * (60*hours + minutes)
}

// appendPadded appends a number with at least width digits.
func appendPadded(dst []byte, n, width int) []byte {
	var digits [8]byte
	at := len(digits)
	for ; n > 0 || width > 0; width-- {
		at--
		digits[at] = byte('0' + n%10)
		n /= 10
	}
	return append(dst, digits[at:]...)
}

// appendPlaces appends a point and the decimal places, if there are any: as many as the column has, with zeros, and
// more only where they are not zero.
func appendPlaces(dst, digits []byte, places int) []byte {
	for len(digits) > places && digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	if len(digits) == 0 && places == 0 {
		return dst
	}
	dst = append(append(dst, '.'), digits...)
	for n := len(digits); n < places; n++ {
		dst = append(dst, '0')
	}
	return dst
}
