package cut

import (
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

// extent finds the value of an array that begins behind start, whatever is wrong within it: its brackets must match, and a
// comma or the end of the array must follow. end is 0 if it has no end.
func extent(b []byte, start int64) (from, end int64) {
	s := scanner{b: b, i: int(start)}
	if s.space(); s.i < len(b) && b[s.i] == ',' {
		s.i++
		s.space()
	}
	from = int64(s.i)
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
			case len(open) == 0 && c != '}' && int64(s.i) > from:
				for b[s.i-1] <= ' ' {
					s.i--
				}
				return from, int64(s.i)
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
