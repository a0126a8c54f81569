package written

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// version is the version of a segment's format.
const version = 2

// SegmentKey names a segment in the state topic; slice is the key of its slice's cursor.
func SegmentKey(slice string, number uint64) []byte {
	b := append([]byte(slice), 0)
	return hex.AppendEncode(b, binary.BigEndian.AppendUint64(nil, number))
}

// ParseSegmentKey splits what [SegmentKey] gave; ok is false for other keys.
func ParseSegmentKey(key string) (slice string, number uint64, ok bool) {
	slice, digits, found := strings.Cut(key, "\x00")
	raw, err := hex.DecodeString(digits)
	if !found || err != nil || len(raw) != 8 {
		return "", 0, false
	}
	return slice, binary.BigEndian.Uint64(raw), true
}

// item is one remembered record: which key was written, with what content, and the value of the incremental field. Keys
// and contents are hashes. Two keys with one hash do no harm, as they differ in content.
type item struct {
	key, content uint64
	field        int64
}

// itemBytes is the most that an item takes: two hashes, and the difference of the field to that of the item before.
const itemBytes = 8 + 8 + binary.MaxVarintLen64

func encodeSegment(items []item) []byte {
	b := make([]byte, 0, 1+len(items)*(8+8+4))
	b = append(b, version)
	last := int64(0)
	for _, i := range items {
		b = binary.BigEndian.AppendUint64(b, i.key)
		b = binary.BigEndian.AppendUint64(b, i.content)
		b = binary.AppendVarint(b, i.field-last) // it may overflow, and then does so back again
		last = i.field
	}
	return b
}

func decodeSegment(b []byte) ([]item, error) {
	switch {
	case len(b) > 0 && b[0] == wideVersion:
		return decodeWide(b)
	case len(b) == 0 || b[0] != version:
		return nil, malformed(b)
	}
	items := make([]item, 0, len(b)/(8+8+1))
	last := int64(0)
	for rest := b[1:]; len(rest) > 0; {
		if len(rest) < 8+8+1 {
			return nil, malformed(b)
		}
		i := item{key: binary.BigEndian.Uint64(rest), content: binary.BigEndian.Uint64(rest[8:])}
		difference, n := binary.Varint(rest[16:])
		if n <= 0 {
			return nil, malformed(b)
		}
		last += difference
		i.field = last
		items = append(items, i)
		rest = rest[16+n:]
	}
	return items, nil
}

func malformed(b []byte) error {
	return fmt.Errorf("segment of %d bytes is malformed, or of a newer millrace", len(b))
}

// Segments of the first version have 128 bits of each hash. Their lower halves are what is kept of them now.
const (
	wideVersion   = 1
	wideItemBytes = 16 + 16 + 8
)

func decodeWide(b []byte) ([]item, error) {
	if (len(b)-1)%wideItemBytes != 0 {
		return nil, malformed(b)
	}
	items := make([]item, 0, len(b)/wideItemBytes)
	for b = b[1:]; len(b) > 0; b = b[wideItemBytes:] {
		items = append(items, item{
			binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[24:]), int64(binary.BigEndian.Uint64(b[32:])),
		})
	}
	return items, nil
}
