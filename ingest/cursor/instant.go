package cursor

import (
	"bytes"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// reader reads times as APIs write them.
type reader struct {
	layout string         // of times in a form of their own, for package time; empty: the common forms
	zone   *time.Location // of times that name none; nil: not known, they are read as UTC
}

// text reads a time in a text. note asks for the form, too, which takes memory where it is none of the most common.
func (r reader) text(text []byte, note bool) (at time.Time, form Form, ok bool) {
	if r.layout != "" {
		at, err := time.ParseInLocation(r.layout, string(text), r.local())
		return at, Form(r.layout), err == nil
	}
	if at, form, ok = r.iso(text, note); ok {
		return at, form, ok
	}
	if ms, ok := dotNet(text); ok {
		return time.UnixMilli(ms), unixMilli, true
	}
	return r.named(text)
}

func (r reader) local() *time.Location {
	if r.zone == nil {
		return time.UTC
	}
	return r.zone
}

// iso reads ISO 8601 and its neighbours: a date, or a date and a time of day after T or a blank, with seconds or
// without, a fraction of any length, of which nanoseconds count, after a point or a comma, and a zone or none.
func (r reader) iso(b []byte, note bool) (at time.Time, form Form, ok bool) {
	s := isoScanner{b: b, note: note}
	y, mo, d := s.date()
	if s.bad {
		return at, "", false
	}
	if s.done() {
		return time.Date(y, time.Month(mo), d, 0, 0, 0, 0, r.local()), Form(s.layout), !s.basic // 20060102 is a number
	}
	s.separator()
	h, mi, sec, ns := s.clock()
	offset, zoned := s.zone()
	if s.bad || !s.done() {
		return at, "", false
	}
	if !zoned {
		return time.Date(y, time.Month(mo), d, h, mi, sec, ns, r.local()), Form(s.layout), true
	}
	return time.Date(y, time.Month(mo), d, h, mi, sec, ns, time.UTC).Add(-offset), rfc3339, true
}

// isoScanner reads a time from the left, and notes its layout where it is one that is sent back.
type isoScanner struct {
	b      []byte
	note   bool   // the layout is wanted
	layout string // of what was read
	basic  bool   // without - and :
	bad    bool
}

// add adds to the layout.
func (s *isoScanner) add(layout, basic string) {
	switch {
	case !s.note:
	case s.basic:
		s.layout += basic
	default:
		s.layout += layout
	}
}

func (s *isoScanner) done() bool { return len(s.b) == 0 }

// digits reads n digits.
func (s *isoScanner) digits(n int) (v int) {
	if s.bad || len(s.b) < n {
		s.bad = true
		return 0
	}
	for _, c := range s.b[:n] {
		if c < '0' || c > '9' {
			s.bad = true
			return 0
		}
		v = v*10 + int(c-'0')
	}
	s.b = s.b[n:]
	return v
}

// accept reads one byte of some.
func (s *isoScanner) accept(some string) bool {
	if s.bad || len(s.b) == 0 || strings.IndexByte(some, s.b[0]) < 0 {
		return false
	}
	s.b = s.b[1:]
	return true
}

func (s *isoScanner) date() (y, m, d int) {
	y = s.digits(4)
	switch {
	case s.accept("-"):
		s.add("2006-01-02", "")
		m = s.digits(2)
		s.bad = !s.accept("-") || s.bad
	case s.accept("/"):
		s.add("2006/01/02", "")
		m = s.digits(2)
		s.bad = !s.accept("/") || s.bad
	default:
		s.basic = true
		s.add("", "20060102")
		m = s.digits(2)
	}
	d = s.digits(2)
	if m < 1 || m > 12 || d < 1 || d > time.Date(y, time.Month(m)+1, 0, 0, 0, 0, 0, time.UTC).Day() {
		s.bad = true
	}
	return y, m, d
}

func (s *isoScanner) separator() {
	if len(s.b) > 0 && s.b[0] == ' ' && !s.basic {
		s.b = s.b[1:]
		s.add(" ", "")
		return
	}
	s.bad = !s.accept("Tt") || s.bad
	s.add("T", "T")
}

func (s *isoScanner) clock() (h, m, sec, ns int) {
	colon := func() bool { return s.basic || s.accept(":") }
	h = s.digits(2)
	s.bad = !colon() || s.bad
	m = s.digits(2)
	s.add("15:04", "1504")
	if s.basic && len(s.b) > 0 && s.b[0] >= '0' && s.b[0] <= '9' || !s.basic && s.accept(":") {
		sec = s.digits(2)
		s.add(":05", "05")
		ns = s.fraction()
	}
	if h > 23 || m > 59 || sec > 60 { // 60 is a leap second
		s.bad = true
	}
	return h, m, sec, ns
}

func (s *isoScanner) fraction() (ns int) {
	if len(s.b) < 2 || s.b[0] != '.' && s.b[0] != ',' {
		return 0
	}
	point, n := s.b[:1], 0
	for s.b = s.b[1:]; len(s.b) > 0 && s.b[0] >= '0' && s.b[0] <= '9'; s.b = s.b[1:] {
		if n++; n <= 9 {
			ns = ns*10 + int(s.b[0]-'0')
		}
	}
	for i := n; i < 9; i++ {
		ns *= 10
	}
	s.bad = s.bad || n == 0
	if s.note {
		s.layout += string(point) + "000000000"[:min(n, 9)]
	}
	return ns
}

// zone reads Z, UTC, GMT, +02, +0200 or +02:00, after a blank or not.
func (s *isoScanner) zone() (offset time.Duration, zoned bool) {
	s.b = bytes.TrimPrefix(s.b, []byte(" "))
	switch {
	case s.done() || s.bad:
		return 0, false
	case s.accept("Zz"):
		return 0, true
	case string(s.b) == "UTC" || string(s.b) == "GMT":
		s.b = nil
		return 0, true
	}
	sign := 1
	switch {
	case s.accept("-"):
		sign = -1
	case !s.accept("+"):
		s.bad = true
		return 0, false
	}
	h, m := s.digits(2), 0
	if s.accept(":") || !s.done() {
		m = s.digits(2)
	}
	s.bad = s.bad || h > 18 || m > 59
	return time.Duration(sign*(60*h+m)) * time.Minute, true
}

// dotNet reads /Date(1709373600000+0100)/, milliseconds since 1970; what follows them says nothing about the instant.
func dotNet(b []byte) (ms int64, ok bool) {
	rest, ok := bytes.CutPrefix(b, []byte("/Date("))
	rest, closed := bytes.CutSuffix(rest, []byte(")/"))
	if !ok || !closed || len(rest) == 0 {
		return 0, false
	}
	if i := bytes.LastIndexAny(rest, "+-"); i > 0 {
		rest = rest[:i]
	}
	n, err := parseInt(rest)
	return n, err == nil
}

// named are the forms with names of days or months: those of HTTP and mail, and that of ctime.
var named = []string{
	"Mon, 2 Jan 2006 15:04:05 GMT", "Mon, 2 Jan 2006 15:04:05 UTC", "Mon, 2 Jan 2006 15:04:05 -0700", "2 Jan 2006 15:04:05 -0700",
	"2 Jan 2006 15:04:05 GMT", "Mon Jan _2 15:04:05 -0700 2006", "Mon Jan _2 15:04:05 UTC 2006", "Mon Jan _2 15:04:05 2006",
	"Mon, 2 Jan 2006 15:04:05", "2 Jan 2006 15:04:05",
}

func (r reader) named(b []byte) (at time.Time, form Form, ok bool) {
	if len(b) < len("2 Jan 2006 15:04:05") || bytes.IndexByte(b, ':') < 0 {
		return at, "", false
	}
	for _, layout := range named {
		if at, err := time.ParseInLocation(layout, string(b), r.local()); err == nil {
			return at, Form(strings.Replace(layout, ", 2 ", ", 02 ", 1)), true // days have one digit in some mails, two in HTTP
		}
	}
	return at, "", false
}

// unquoted is the text of a JSON string.
func unquoted(v jsontext.Value) []byte {
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1]
	}
	text, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return nil
	}
	return text
}
