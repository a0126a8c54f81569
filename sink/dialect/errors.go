package dialect

import "errors"

// RefusedError says that the database refuses rows for what they are: another attempt gives the same answer, and other
// rows may go in.
type RefusedError struct {
	Err error
	// Doubtful: the error is not one that is known to be about values. If the server gives it again, it is.
	Doubtful bool
}

func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap returns what the database answered.
func (e *RefusedError) Unwrap() error { return e.Err }

// DefectError says what every row would meet, and needs an operator. The sink keeps trying: it may be put right while
// the sink runs.
type DefectError struct {
	Err    error
	Hint   string // what to do
	Server bool   // it is not about a table: nothing can be written
}

func (e *DefectError) Error() string { return e.Err.Error() + "; " + e.Hint }

// Unwrap returns what the database answered.
func (e *DefectError) Unwrap() error { return e.Err }

// ServerError says that the sink cannot write to this server.
type ServerError struct{ Reason string }

func (e *ServerError) Error() string { return e.Reason }

// ErrBulk says that the server refused the way of many rows.
var ErrBulk = errors.New("in bulk")
