package fetch

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"
)

// Memory is what all bodies of a process may hold in memory together. It may be used concurrently.
type Memory struct {
	left  atomic.Int64
	page  int64 // of one body
	spool spool // for what does not fit
	pool  sync.Pool
}

// NewMemory allows total bytes for all bodies and page bytes for one. Larger ones go to tempDir; empty: the system's.
func NewMemory(total, page int64, tempDir string) *Memory {
	m := &Memory{page: page, spool: spool{dir: tempDir}}
	m.left.Store(total)
	return m
}

// Close gives the temporary file back, when all bodies are closed.
func (m *Memory) Close() { m.spool.close() }

// reserve asks for n bytes; it reports false if there are not so many.
func (m *Memory) reserve(n int64) bool {
	if m.left.Add(-n) < 0 {
		m.left.Add(n)
		return false
	}
	return true
}

// Body is a response body that has been received whole. It must be closed; its bytes are not valid afterwards.
type Body struct {
	m    *Memory
	mem  []byte // nil: in file, or empty
	file *spooled
	size int64
	held int64 // by Hold
}

const firstBuffer = 64 << 10

// Receive reads r to its end. size is what is known of its length, or -1. Where memory is short it goes on in
// a file: it never waits for memory, since those who hold it may be waiting for this very page.
func (m *Memory) Receive(r io.Reader, size int64) (*Body, error) {
	b := &Body{m: m}
	want := int64(firstBuffer)
	if size >= 0 {
		want = max(size+1, 512) // one more, to see the end without growing
	}
	if want > m.page || !m.reserve(want) {
		return b, b.spill(r)
	}
	b.mem = m.buffer(want)
	for {
		n, err := r.Read(b.mem[b.size:])
		b.size += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			b.shrink()
			return b, nil
		case err != nil:
			return b, err
		case b.size < int64(len(b.mem)):
			continue
		}
		more := int64(len(b.mem))
		if 2*more > m.page || !m.reserve(more) {
			return b, b.spill(r)
		}
		grown := m.buffer(2 * more)
		copy(grown, b.mem)
		m.left.Add(int64(cap(b.mem)) - more)
		m.recycle(b.mem)
		b.mem = grown
	}
}

// buffer returns n bytes that have been reserved. It reserves what a recycled buffer has beyond: what is counted of a
// buffer is its capacity.
func (m *Memory) buffer(n int64) []byte {
	p, ok := m.pool.Get().(*[]byte)
	switch {
	case !ok || int64(cap(*p)) < n:
		return make([]byte, n)
	case int64(cap(*p)) > 2*n || !m.reserve(int64(cap(*p))-n):
		m.pool.Put(p)
		return make([]byte, n)
	}
	return (*p)[:n]
}

// recycle keeps a buffer for another page. Small ones are cheaper to make than to look after.
func (m *Memory) recycle(b []byte) {
	if cap(b) >= firstBuffer {
		m.pool.Put(&b)
	}
}

// shrink gives back a buffer that is much too large for a small page: the page may wait long for its turn.
func (b *Body) shrink() {
	if int64(cap(b.mem)) < 4*b.size || cap(b.mem) < firstBuffer || !b.m.reserve(b.size) {
		return
	}
	small := bytes.Clone(b.mem[:b.size:b.size])
	b.m.left.Add(b.size - int64(cap(small)))
	b.release()
	b.mem = small
}

// spill moves what was read to the spool and the rest of r after it.
func (b *Body) spill(r io.Reader) error {
	b.file = &spooled{spool: &b.m.spool}
	if _, err := b.file.Write(b.mem[:b.size]); err != nil {
		return err
	}
	b.release()
	n, err := io.Copy(b.file, r)
	b.size += n
	return err
}

// DiskError says that a large page could not be kept in a temporary file.
type DiskError struct{ Err error }

func (e *DiskError) Error() string { return "keep a large page: " + e.Err.Error() }

func (e *DiskError) Unwrap() error { return e.Err }

func (b *Body) release() {
	if b.mem != nil {
		b.m.left.Add(int64(cap(b.mem)))
		b.m.recycle(b.mem)
		b.mem = nil
	}
}

// Blank reports whether the body is empty, but for a line break or blanks.
func (b *Body) Blank() bool {
	return b.size == 0 || b.mem != nil && b.size <= maxBlank && len(bytes.TrimSpace(b.Bytes())) == 0
}

const maxBlank = 64

// Size is in bytes.
func (b *Body) Size() int64 { return b.size }

// Bytes is the body if it is in memory, else nil.
func (b *Body) Bytes() []byte {
	if b.mem == nil {
		return nil
	}
	return b.mem[:b.size:b.size]
}

// Reader reads the body from its beginning; each call gives a new one.
func (b *Body) Reader() io.Reader { return io.NewSectionReader(b.file, 0, b.size) }

// beginning is a copy of the first n bytes, or of all there are.
func (b *Body) beginning(n int64) []byte {
	if mem := b.Bytes(); mem != nil {
		return bytes.Clone(mem[:min(n, b.size)])
	}
	text, _ := io.ReadAll(io.LimitReader(b.Reader(), n)) // without it, an error says less
	return text
}

// Hash is a hash of the whole body.
func (b *Body) Hash() (xxh3.Uint128, error) {
	if b.mem != nil {
		return xxh3.Hash128(b.mem[:b.size]), nil
	}
	h := xxh3.New()
	_, err := io.Copy(h, b.Reader())
	return h.Sum128(), err
}

// Hold asks for n more bytes of memory for something that lives as long as the body.
func (b *Body) Hold(n int64) bool {
	if !b.m.reserve(n) {
		return false
	}
	b.held += n
	return true
}

// Abandon is Close when somebody may still be reading the bytes: their memory is not used again.
func (b *Body) Abandon() {
	if b.mem != nil {
		b.m.left.Add(int64(cap(b.mem)))
		b.mem = nil
	}
	b.Close()
}

// Close gives back the memory or removes the file. It may be called more than once.
func (b *Body) Close() {
	b.release()
	b.m.left.Add(b.held)
	b.held = 0
	if b.file != nil {
		b.file.close()
		b.file = nil
	}
}
