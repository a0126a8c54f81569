package control

import "time"

// Restart has the redo under way, if any, begin again, because what it has written is gone. It keeps what was asked
// for, has another generation, and a cut that is still to be found. One that ends where it is does so.
func (s *Stream) Restart(by string) (restarted bool) {
	if s.Redo == nil || s.Redo.Aborted {
		return false
	}
	made := Generation{Kind: Again}
	if of := s.Generation(s.Redo.Generation); of != nil {
		made = *of
	}
	made.Number, made.Definition, made.At, made.By = s.Next(), "", time.Now().UTC().Truncate(time.Second), by
	s.Generations = append(s.Generations, made)
	redo := *s.Redo
	redo.Generation, redo.State, redo.Cut = made.Number, Marking, nil
	s.Redo = &redo
	return true
}
