package sorted

import (
	"bufio"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/sink/rows"
)

// What a run's reader may hold in memory.
const (
	leastBuffer = 4 << 10
	mostBuffer  = 256 << 10
)

// Merge gives back what a sorter has, in order. It is for one goroutine.
type Merge struct {
	sorter *Sorter
	heads  heads
	given  int64
}

// Merge ends adding. The sorter must stay open while the merge is used.
func (s *Sorter) Merge() (*Merge, error) {
	if err := s.spill(); err != nil {
		return nil, err
	}
	s.buffer, s.places = nil, nil
	m := &Merge{sorter: s}
	size := min(mostBuffer, max(leastBuffer, s.memory/max(1, len(s.runs))))
	for _, r := range s.runs {
		h := &head{left: uint64(r.end - r.at), in: bufio.NewReaderSize(io.NewSectionReader(s.file, r.at, r.end-r.at), size)}
		if err := h.next(); err != nil {
			return nil, fmt.Errorf("sort in a temporary file: %w", err)
		}
		m.heads = append(m.heads, h)
	}
	heap.Init(&m.heads)
	return m, nil
}

// Next returns the next record, which is the caller's; io.EOF after the last one. Any other error is the file's, or
// that it does not give back what was written to it.
func (m *Merge) Next() (*kgo.Record, error) {
	if len(m.heads) == 0 {
		if m.given != m.sorter.count {
			return nil, fmt.Errorf("sort in a temporary file: %d records of %d: %w", m.given, m.sorter.count, errTorn)
		}
		return nil, io.EOF
	}
	h := m.heads[0]
	r, err := h.rest.record(m.sorter.topic, h.partition, h.offset)
	if err == nil {
		err = h.next()
	}
	switch {
	case errors.Is(err, io.EOF):
		heap.Pop(&m.heads)
	case err != nil:
		return nil, fmt.Errorf("sort in a temporary file: %w", err)
	default:
		heap.Fix(&m.heads, 0)
	}
	m.given++
	return r, nil
}

// head is the first entry of what is left of a run.
type head struct {
	in        *bufio.Reader
	left      uint64 // bytes of the run, at most
	key       rows.Values
	partition int32
	offset    int64
	rest      reader
}

// next reads the next entry; io.EOF: there is none.
func (h *head) next() error {
	n, err := binary.ReadUvarint(h.in)
	if err != nil {
		return err // io.EOF, if not a byte is left
	}
	if n > h.left {
		return errTorn
	}
	h.left -= n
	entry := make([]byte, n) // the record's bytes are slices of it
	if _, err := io.ReadFull(h.in, entry); err != nil {
		return errors.Join(errTorn, err)
	}
	h.rest = reader{b: entry}
	h.partition, h.offset = int32(h.rest.uvarint()), int64(h.rest.uvarint())
	h.key = h.rest.bytes()
	return h.rest.err
}

// heads is a heap of the first entries of all runs.
type heads []*head

func (h heads) Len() int { return len(h) }

func (h heads) Less(i, j int) bool {
	a, b := h[i], h[j]
	return compare(a.key, b.key, a.partition, b.partition, a.offset, b.offset) < 0
}

func (h heads) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is for package heap. Nothing is pushed.
func (*heads) Push(any) {}

// Pop is for package heap.
func (h *heads) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
