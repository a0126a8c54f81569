package ingest

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/zeebo/xxh3"
)

// stateVersion is the version of a segment's format.
const stateVersion = 1

func segmentKey(slice string, seq uint64) []byte {
	b := append([]byte(slice), 0)
	return hex.AppendEncode(b, binary.BigEndian.AppendUint64(nil, seq))
}

// parseSegmentKey splits the key of a segment; ok is false for other keys.
func parseSegmentKey(key string) (slice string, seq uint64, ok bool) {
	slice, number, found := strings.Cut(key, "\x00")
	raw, err := hex.DecodeString(number)
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
	b = append(b, stateVersion)
	for _, i := range items {
		k, c := i.key.Bytes(), i.content.Bytes()
		b = append(b, k[:]...)
		b = append(b, c[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(i.field))
	}
	return b
}

func decodeSegment(b []byte) ([]item, error) {
	if len(b) < 1 || b[0] != stateVersion || (len(b)-1)%itemBytes != 0 {
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
