package control

import "time"

// Swapped has a line be the live one, and the one that was live be old. It reports whether it was not so before; the line must be
// there.
func (s *Stream) Swapped(live uint16) bool {
	if s.Line(live) == nil || s.LiveNumber() == live {
		return false
	}
	now := time.Now().UTC().Truncate(time.Second)
	for number, state := range map[uint16]LineState{s.LiveNumber(): LineOld, live: LineLive} {
		if l := s.Line(number); l != nil {
			l.State, l.At = state, now
		}
	}
	s.LiveLine = live
	return true
}
