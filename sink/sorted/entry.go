package sorted

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// An entry is a record as the file has it: the length of what follows, then partition, offset, the key of the row,
// time, key, value and headers. Numbers are varints; texts have their length plus one before them, and 0 where they are
// nil.

// appendRest appends what comes after the key of the row.
func appendRest(dst []byte, r *kgo.Record) []byte {
	dst = binary.AppendVarint(dst, r.Timestamp.UnixMilli())
	dst = appendBytes(dst, r.Key)
	dst = appendBytes(dst, r.Value)
	dst = binary.AppendUvarint(dst, uint64(len(r.Headers)))
	for i := range r.Headers {
		dst = appendBytes(dst, []byte(r.Headers[i].Key))
		dst = appendBytes(dst, r.Headers[i].Value)
	}
	return dst
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 0)
	}
	return append(binary.AppendUvarint(dst, uint64(len(b))+1), b...)
}

// errTorn says that the file does not hold what was written to it.
var errTorn = errors.New("the temporary file does not hold what was written to it")

// reader takes an entry apart. After an error all that it returns is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.err = nil, errTorn
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.b, r.err = nil, errTorn
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n == 0 {
		return nil
	}
	if n--; n > uint64(len(r.b)) {
		r.b, r.err = nil, errTorn
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

// record reads what comes after the key of the row.
func (r *reader) record(topic string, partition int32, offset int64) (*kgo.Record, error) {
	out := &kgo.Record{Topic: topic, Partition: partition, Offset: offset, Timestamp: time.UnixMilli(r.varint())}
	out.Key, out.Value = r.bytes(), r.bytes()
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		return nil, errTorn
	}
	out.Headers = make([]kgo.RecordHeader, n)
	for i := range out.Headers {
		out.Headers[i] = kgo.RecordHeader{Key: string(r.bytes()), Value: r.bytes()}
	}
	return out, r.err
}
