package redact

// Error is err with the secrets hidden in its text; err itself if it has none. What it wraps stays as it is: whoever
// shows that alone asks [Secrets.Text].
func (s *Secrets) Error(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if clean := s.Text(text); clean != text {
		return &hiddenError{clean, err}
	}
	return err
}

type hiddenError struct {
	text string
	err  error
}

func (e *hiddenError) Error() string { return e.text }

func (e *hiddenError) Unwrap() error { return e.err }
