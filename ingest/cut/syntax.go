package cut

import (
	"bytes"
	"fmt"
)

// SyntaxError says that an answer is not JSON.
type SyntaxError struct {
	Offset     int64 // in the answer, in bytes
	Err        error
	Record     int   // ordinal of the record that it is in; -1: none
	Start, End int64 // of that record in the answer, if it can be told where it ends; else End is 0
}

func (e *SyntaxError) Error() string {
	if e.Record < 0 {
		return fmt.Sprintf("not JSON at byte %d: %v", e.Offset, e.Err)
	}
	return fmt.Sprintf("not JSON at byte %d, in record %d: %v", e.Offset, e.Record, e.Err)
}

// Quotes reports whether it is about a place within an answer that began as JSON.
func (e *SyntaxError) Quotes() bool { return e.Offset > 0 }

func (e *SyntaxError) Unwrap() error { return e.Err }

// extent finds the record that begins behind start, whatever is wrong within it: its brackets must match, and a comma
// or what closes the records must follow; of lines, the end of its line. end is 0 if it has no end.
func extent(b []byte, start int64, closing byte) (from, end int64) {
	s := scanner{b: b, i: int(start)}
	if s.space(); s.i < len(b) && (b[s.i] == ',' || b[s.i] == ':') {
		s.i++
		s.space()
	}
	from = int64(s.i)
	if closing == '\n' {
		return from, lineEnd(b, s.i)
	}
	var open []byte
	for s.i < len(b) {
		switch c := b[s.i]; c {
		case '"':
			s.string()
			continue
		case '{', '[':
			open = append(open, c+2) // the bracket that closes it
		case '}', ']', ',':
			switch {
			case len(open) == 0 && (c == closing || c == ',') && int64(s.i) > from:
				return from, trimmed(b, s.i)
			case c == ',' && len(open) > 0:
			case len(open) == 0 || open[len(open)-1] != c:
				return from, 0
			default:
				open = open[:len(open)-1]
			}
		}
		s.i++
	}
	return from, 0
}

// lineEnd is the end of the line that b[from] is in. The last line may have been cut off, so it must end, too.
func lineEnd(b []byte, from int) int64 {
	n := bytes.IndexByte(b[from:], '\n')
	if n <= 0 {
		return 0
	}
	return trimmed(b, from+n)
}

// trimmed is end without the blanks before it.
func trimmed(b []byte, end int) int64 {
	for b[end-1] <= ' ' {
		end--
	}
	return int64(end)
}
