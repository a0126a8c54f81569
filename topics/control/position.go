package control

import (
	"errors"

	"github.com/millrace-io/millrace/topics"
)

// AtStart is the start of a partition's log, instead of an offset.
const AtStart = -1

var (
	// ErrStale says that a committed position is of a later decision than s has.
	ErrStale = errors.New("a committed position is of a later decision than was read")
	// ErrMoved says that an offset was written by another program.
	ErrMoved = errors.New("the position is not one of a processor's")
)

// GoOn is where the processing of a partition goes on, as a raw offset or [AtStart]. rawTopicID is of the raw topic
// that is there; offset and metadata are what the processors' group has committed, if committed is set. The error is
// [ErrStale] or [ErrMoved].
func (s *Stream) GoOn(rawTopicID string, partition int32, offset int64, metadata string, committed bool) (int64, error) {
	declared := int64(AtStart)
	if from, is := s.Run.From[partition]; is {
		declared = from
	}
	if !committed {
		return declared, nil
	}
	position, ours := topics.ParsePosition(metadata)
	moved, counted := s.Moved[partition]
	switch {
	case !ours && s.Run.Why == Upgrade: // what was made since by that version is made again, equally
		return declared, nil
	case !ours && counted && moved == offset:
		return declared, nil
	case !ours:
		return 0, ErrMoved
	case position.RawTopicID == rawTopicID && position.Run == s.Run.Number:
		return offset, nil
	case position.Run > s.Run.Number || position.Generation >= s.Next():
		return 0, ErrStale
	}
	return declared, nil
}
