package topics

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// VersionSize is the length of a [Version] in bytes.
const VersionSize = 18

// MaxOffset is the largest raw offset that a version holds: 48 bits.
const MaxOffset = 1<<48 - 1

// Version says which revision of a key a record is. Versions compare as bytes: first the source's version,
// then the epoch of the raw topic, the offset in it, and the generation of the logic.
//
//	0:8   source, int64, big endian, sign bit flipped
//	8:10  epoch, uint16
//	10:16 raw offset, 48 bits
//	16:18 generation, uint16
type Version [VersionSize]byte

// NewVersion composes a version. source is 0 for streams without a version field; offset is 0 to [MaxOffset].
func NewVersion(source int64, epoch uint16, offset int64, generation uint16) Version {
	var v Version
	binary.BigEndian.PutUint64(v[0:], uint64(source)^(1<<63))
	binary.BigEndian.PutUint64(v[8:], uint64(epoch)<<48|uint64(offset)&MaxOffset)
	binary.BigEndian.PutUint16(v[16:], generation)
	return v
}

// ParseVersion reads the value of an mr-version header.
func ParseVersion(b []byte) (Version, error) {
	if len(b) != VersionSize {
		return Version{}, fmt.Errorf("%s: %d bytes, want %d", HeaderVersion, len(b), VersionSize)
	}
	return Version(b), nil
}

// Raised returns v in an epoch that is higher by n: a table whose topics were recreated counts from there. The source's
// version still decides first. The epochs together are at most 65535.
func (v Version) Raised(n uint16) Version {
	binary.BigEndian.PutUint16(v[8:], v.Epoch()+n)
	return v
}

// Source is the source's version.
func (v Version) Source() int64 { return int64(binary.BigEndian.Uint64(v[0:]) ^ (1 << 63)) }

// Position is the raw epoch and offset, comparable as bytes: the 8 bytes that millrace_offsets keeps as high.
func (v Version) Position() [8]byte { return [8]byte(v[8:16]) }

// Epoch is the epoch of the raw topic.
func (v Version) Epoch() uint16 { return binary.BigEndian.Uint16(v[8:]) }

// Offset is the offset in the raw topic.
func (v Version) Offset() int64 { return int64(binary.BigEndian.Uint64(v[8:]) & MaxOffset) }

// Generation is the generation of the logic that made the row.
func (v Version) Generation() uint16 { return binary.BigEndian.Uint16(v[16:]) }

// String is the version in hexadecimal.
func (v Version) String() string { return hex.EncodeToString(v[:]) }
