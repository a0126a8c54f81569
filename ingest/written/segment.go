package written

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/zeebo/xxh3"
)

// version is the version of a segment's format.
const version = 1

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

// item is one remembered record: which key was written, with what content, and the value of the incremental field.
type item struct {
	key, content xxh3.Uint128
	field        int64
}

const itemBytes = 16 + 16 + 8

func encodeSegment(items []item) []byte {
	b := make([]byte, 0, 1+len(items)*itemBytes)
	b = append(b, version)
	for _, i := range items {
		k, c := i.key.Bytes(), i.content.Bytes()
		b = append(b, k[:]...)
		b = append(b, c[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(i.field))
	}
	return b
}

func decodeSegment(b []byte) ([]item, error) {
	if len(b) < 1 || b[0] != version || (len(b)-1)%itemBytes != 0 {
		return nil, fmt.Errorf("segment of %d bytes is malformed, or of a newer millrace", len(b))
	}
	items := make([]item, 0, len(b)/itemBytes)
	for b = b[1:]; len(b) > 0; b = b[itemBytes:] {
		items = append(items, item{hash128(b), hash128(b[16:]), int64(binary.BigEndian.Uint64(b[32:]))})
	}
	return items, nil
}

func hash128(b []byte) xxh3.Uint128 {
	return xxh3.Uint128{Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:])}
}
