package control

import "time"

// Allowed says that keys which complete reads do not show, and which are held because they are too many, are deleted by
// the next one. It holds for what is held since that read, and once: what is held later has another number.
type Allowed struct {
	Since int64     `json:"since"` // number of the read
	Keys  int64     `json:"keys"`  // at most
	At    time.Time `json:"at"`
	By    string    `json:"by,omitempty"`
}
