package ingest

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/ingest/fetch"
)

// RecordTooLargeError says that a page has a record that is too large to be held, even for a dead letter. The stream
// waits at its page; nothing is lost.
type RecordTooLargeError struct {
	Stream  string
	Ordinal int   // in its page; -1: it is not a record but another value of the page
	Bytes   int64 // with headers
	AtLeast bool  // it was not measured to its end
	Max     int64
}

func (e *RecordTooLargeError) Error() string {
	what := fmt.Sprintf("record %d of the page", e.Ordinal)
	if e.Ordinal < 0 {
		what = "a value of the page outside its records"
	}
	size := fmt.Sprint(e.Bytes)
	if e.AtLeast {
		size = "more than " + size
	}
	return fmt.Sprintf("%s has %s bytes with its headers, more than kafka.max_record_bytes = %d: "+
		"raise that setting, and max.message.bytes of the stream's topics with it", what, size, e.Max)
}

// UnreadableError says that the version or the incremental field of a record cannot be read, where ingest.unreadable is
// wait. The stream waits at its page; nothing is lost.
type UnreadableError struct {
	Setting string // a path in the pipeline file
	Field   string
	Ordinal int // of the record in its page
	Err     error
}

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("%s: the field %q of record %d of the page %v", e.Setting, e.Field, e.Ordinal, e.Err)
}

func (e *UnreadableError) Unwrap() error { return e.Err }

// Is says that asking the API again does not help.
func (e *UnreadableError) Is(target error) bool { return target == fetch.ErrFinal }

// Is says that asking the API again does not help.
func (e *RecordTooLargeError) Is(target error) bool { return target == fetch.ErrFinal }

// expelled reports whether an answer of the brokers says that this process is no member of the group any more.
func expelled(err error) bool {
	for _, k := range []*kerr.Error{
		kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.FencedInstanceID, kerr.StaleMemberEpoch, kerr.FencedMemberEpoch,
	} {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

// pageError is a page that says what it should not.
type pageError struct {
	url string // without secrets
	err error
}

func (e *pageError) Error() string { return fmt.Sprintf("GET %s: %v", e.url, e.err) }

func (e *pageError) Unwrap() error { return e.err }

// redacted is an error without secrets.
type redacted struct {
	text  string
	cause error // what stays equal from one attempt to the next
}

func (e *redacted) Error() string { return e.text }

func (e *redacted) Unwrap() error { return e.cause }
