package known

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// The state topic has a record for each key, in compacted form: what a slice knows costs it as many records as it has
// keys.

// formatVersion is the version of a record's value.
const formatVersion = 1

// keyMark stands between the slice and the text of the key. It is no hexadecimal digit, as those of written.SegmentKey
// are.
const keyMark = "\x00k"

// StateKey is the key in the state topic of a raw key; slice is the key of its slice's cursor.
func StateKey(slice string, raw []byte) []byte {
	b := make([]byte, 0, len(slice)+len(keyMark)+len(raw))
	b = append(b, slice...)
	b = append(b, keyMark...)
	return append(b, raw...)
}

// ParseStateKey splits what [StateKey] gave; ok is false for other keys.
func ParseStateKey(key string) (slice, raw string, ok bool) {
	slice, raw, ok = strings.Cut(key, keyMark)
	return slice, raw, ok && !strings.Contains(slice, "\x00")
}

// Revision is what the newest record of a key said.
type Revision struct {
	Content    uint64 // hash of the record
	HasContent bool
	Source     int64 // its version, if HasSource
	HasSource  bool
}

const (
	flagContent = 1 << iota
	flagSource
)

// encode is the value of the record of a key that was written in a pass.
func encode(pass int64, r Revision) []byte {
	b := make([]byte, 0, 2+binary.MaxVarintLen64+8+binary.MaxVarintLen64)
	b = append(b, formatVersion)
	b = binary.AppendUvarint(b, uint64(pass))
	var flags byte
	if r.HasContent {
		flags |= flagContent
	}
	if r.HasSource {
		flags |= flagSource
	}
	b = append(b, flags)
	if r.HasContent {
		b = binary.BigEndian.AppendUint64(b, r.Content)
	}
	if r.HasSource {
		b = binary.AppendVarint(b, r.Source)
	}
	return b
}

// decode reads what encode gave.
func decode(b []byte) (pass int64, r Revision, err error) {
	malformed := func() error {
		return fmt.Errorf("known key: a value of %d bytes is malformed, or of a newer millrace", len(b))
	}
	if len(b) == 0 || b[0] != formatVersion {
		return 0, r, malformed()
	}
	n, size := binary.Uvarint(b[1:])
	if size <= 0 || len(b) < 1+size+1 {
		return 0, r, malformed()
	}
	flags, rest := b[1+size], b[1+size+1:]
	if flags&flagContent != 0 {
		if len(rest) < 8 {
			return 0, r, malformed()
		}
		r.HasContent, r.Content, rest = true, binary.BigEndian.Uint64(rest), rest[8:]
	}
	if flags&flagSource != 0 {
		source, size := binary.Varint(rest)
		if size <= 0 {
			return 0, r, malformed()
		}
		r.HasSource, r.Source, rest = true, source, rest[size:]
	}
	if len(rest) > 0 || n > 1<<62 {
		return 0, r, malformed()
	}
	return int64(n), r, nil
}
