package ingest

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/millrace-io/millrace/ingest/paginate"
)

// What the state topic holds, by key:
//
//	claim                         who claimed the partition last; written first, so that its offset says how far to read
//	<stream>/<slice>              the slice's cursor, JSON
//	<stream>/<slice> NUL <16 hex> a segment of what the slice remembers to have written
const claimKey = "claim"

// stateVersion is the version of all three.
const stateVersion = 1

// cursor is where a slice is. It is committed with the records up to it.
type cursor struct {
	Version int               `json:"v"`
	Request string            `json:"request"` // hash of what the positions of the pass depend on in the pipeline file
	Pass    int64             `json:"pass"`    // number of the pass, from 1
	Started time.Time         `json:"started"` // start of the pass
	Kind    string            `json:"kind"`    // of Since and High: time, in microseconds, or integer
	Since   *int64            `json:"since,omitempty"`
	High    *int64            `json:"high,omitempty"` // highest value of the incremental field seen in the pass
	Next    paginate.Position `json:"next"`           // the page after the last committed one
	Part    *part             `json:"part,omitempty"` // how much of the page Next is committed already
	Done    bool              `json:"done"`           // the pass has ended
	Ended   time.Time         `json:"ended,omitzero"`
}

// part says how far a page is that commits in several transactions.
type part struct {
	Ordinal int    `json:"ordinal"` // of the next record
	Hash    string `json:"hash"`    // of the page
}

func (c cursor) encode() ([]byte, error) { return json.Marshal(c) }

func decodeCursor(key string, b []byte) (cursor, error) {
	var c cursor
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("cursor of %s: %w", key, err)
	}
	if c.Version != stateVersion {
		return c, fmt.Errorf("cursor of %s has version %d and this program knows %d: run the newer millrace", key, c.Version, stateVersion)
	}
	return c, nil
}

func sliceKey(stream, slice string) string { return stream + "/" + slice }

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
