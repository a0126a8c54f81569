package control

import "time"

// Reset is the last time that the positions of a stream in its API were set back.
type Reset struct {
	Number uint32    `json:"number"` // of times; 0: never
	Done   bool      `json:"done"`   // the positions are written; else they are being written, or whoever did so has died
	At     time.Time `json:"at"`
	By     string    `json:"by,omitempty"`
	// Fenced is how many times the owners of the positions were fenced, so that they know why.
	Fenced uint32 `json:"fenced,omitempty"`
}

// settle is how long a reset is waited for that has begun and is not done.
const settle = 30 * time.Second

// UnderWay reports whether r has begun so lately that whoever reads the positions waits for its end.
func (r Reset) UnderWay() bool { return r.Number > 0 && !r.Done && time.Since(r.At).Abs() < settle }

// Sweep deletes what a complete pass that began after a reset did not show.
type Sweep struct {
	Pass int64 `json:"pass"` // passes with a higher number began after the reset
	// From is, by partition, the raw offset from which on all was fetched after the reset.
	From map[int32]int64 `json:"from"`
	// RawTopicID is the raw topic that From is of, hexadecimal.
	RawTopicID string `json:"raw_topic_id"`
	// Deleting names who writes tombstones, for which nothing may be fetched; empty: nobody does.
	Deleting string `json:"deleting,omitempty"`
	// Forget says that the raw records below From are deleted at the end.
	Forget bool      `json:"forget,omitempty"`
	At     time.Time `json:"at"` // of the reset
	By     string    `json:"by,omitempty"`
}

// Fetches reports whether ingest may ask the API.
func (s *Stream) Fetches() bool {
	return !s.IsPaused("ingest") && s.SweptBy() == ""
}

// SweptBy is who writes the tombstones of a sweep; empty: nobody does.
func (s *Stream) SweptBy() string {
	if s.Sweep == nil {
		return ""
	}
	return s.Sweep.Deleting
}
