package control

import "time"

// Without reports whether the base line was dropped, or is being: no stage of the pipeline itself runs the stream.
func (s *Stream) Without() bool {
	base := s.Line(BaseLine)
	return base != nil && !base.State.Runs()
}

// Swapped has a line be the live one, and the one that was live be old. It reports whether it was not so before; the
// line must be there.
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
