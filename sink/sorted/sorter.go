package sorted

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/sink/rows"
)

// Sorter takes records of one topic and gives them back in the order of their rows' keys, and of one key in the order
// of partition and offset. It is for one goroutine at a time.
type Sorter struct {
	topic  string
	dir    string
	memory int

	buffer []byte
	places []place // of the entries in buffer
	file   *os.File
	runs   []run
	bytes  int64 // of the file
	count  int64
}

// place is where an entry of the buffer is, and its order.
type place struct {
	at, end       int // of the entry
	keyAt, keyEnd int
	offset        int64
	partition     int32
}

// placeBytes is the size of a place in memory.
const placeBytes = 48

// run is a sorted stretch of the file.
type run struct{ at, end int64 }

// New returns an empty sorter, whose file will be in dir; empty: the system's place for such files. It takes about so
// many bytes of memory, both while records are added and while they are merged, and more only for a record that is
// larger, or for more runs than memory has places for of [leastBuffer] bytes.
func New(topic, dir string, memory int) *Sorter {
	return &Sorter{topic: topic, dir: dir, memory: memory}
}

// Count is how many records were added.
func (s *Sorter) Count() int64 { return s.count }

// Bytes is how large the file is.
func (s *Sorter) Bytes() int64 { return s.bytes }

// Add copies a record, whose row has this key; empty: none that is known. The error is the file's: then the sorter is
// of no further use.
func (s *Sorter) Add(key rows.Values, r *kgo.Record) error {
	if s.buffer == nil {
		s.buffer = make([]byte, 0, s.memory/4*3)
	}
	p := place{at: len(s.buffer), partition: r.Partition, offset: r.Offset}
	s.buffer = binary.AppendUvarint(s.buffer, uint64(r.Partition))
	s.buffer = binary.AppendUvarint(s.buffer, uint64(r.Offset))
	s.buffer = appendBytes(s.buffer, key)
	p.keyEnd = len(s.buffer)
	p.keyAt = p.keyEnd - len(key)
	s.buffer = appendRest(s.buffer, r)
	p.end = len(s.buffer)
	s.places = append(s.places, p)
	s.count++
	if len(s.buffer) < s.memory/4*3 && placeBytes*len(s.places) < s.memory/4 {
		return nil
	}
	return s.spill()
}

// spill writes what is in memory as a run.
func (s *Sorter) spill() error {
	if len(s.places) == 0 {
		return nil
	}
	if err := s.open(); err != nil {
		return err
	}
	slices.SortFunc(s.places, func(a, b place) int {
		return compare(s.buffer[a.keyAt:a.keyEnd], s.buffer[b.keyAt:b.keyEnd], a.partition, b.partition, a.offset, b.offset)
	})
	out := bufio.NewWriterSize(s.file, 1<<18)
	is := run{at: s.bytes, end: s.bytes}
	var head [binary.MaxVarintLen64]byte
	for _, p := range s.places {
		n := binary.PutUvarint(head[:], uint64(p.end-p.at))
		_, _ = out.Write(head[:n]) // an error stays until Flush
		_, _ = out.Write(s.buffer[p.at:p.end])
		is.end += int64(n + p.end - p.at)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("sort in a temporary file: %w", err)
	}
	s.runs, s.bytes = append(s.runs, is), is.end
	if s.buffer, s.places = s.buffer[:0], s.places[:0]; cap(s.buffer) > 2*s.memory {
		s.buffer = nil // one record was large
	}
	return nil
}

func (s *Sorter) open() (err error) {
	if s.file != nil {
		return nil
	}
	if s.file, err = os.CreateTemp(s.dir, "millrace-fill-*"); err != nil {
		return fmt.Errorf("sort in a temporary file: %w", err)
	}
	_ = os.Remove(s.file.Name()) // where a file that is open cannot be removed, Close does it
	return nil
}

// compare is the order of entries.
func compare(a, b rows.Values, partitionA, partitionB int32, offsetA, offsetB int64) int {
	return cmp.Or(rows.CompareKeys(a, b), cmp.Compare(partitionA, partitionB), cmp.Compare(offsetA, offsetB))
}

// Close gives back memory and file. It may be called again.
func (s *Sorter) Close() error {
	s.buffer, s.places = nil, nil
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if gone := os.Remove(s.file.Name()); gone != nil && !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	s.file = nil
	return err
}
