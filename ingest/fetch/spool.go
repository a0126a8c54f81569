package fetch

import (
	"errors"
	"io"
	"os"
	"sync"
)

// spool is one temporary file for the pages of a process that do not fit into memory, however many there are. A page
// has blocks of it, which are used again when the page is closed. The file has no name, so that a process that dies
// leaves nothing. It may be used concurrently.
type spool struct {
	dir string // empty: the system's

	mu   sync.Mutex
	file *os.File // nil: not needed yet
	free []int64  // blocks
	next int64    // block after the last that was ever used
	used int      // blocks
}

// blockBytes is the size of a block.
const blockBytes = 256 << 10

// acquire returns a block and the file that it is in.
func (s *spool) acquire() (int64, *os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "millrace-pages-*")
		if err != nil {
			return 0, nil, err
		}
		_ = os.Remove(f.Name()) // where that is not possible, close does it
		s.file = f
	}
	s.used++
	if n := len(s.free); n > 0 {
		block := s.free[n-1]
		s.free = s.free[:n-1]
		return block, s.file, nil
	}
	s.next++
	return s.next - 1, s.file, nil
}

// release takes blocks back. With the last one the disk has its place again.
func (s *spool) release(blocks []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, blocks...)
	if s.used -= len(blocks); s.used == 0 && s.next > 0 && s.file.Truncate(0) == nil {
		s.free, s.next = nil, 0
	}
}

func (s *spool) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		_ = s.file.Close()
		_ = os.Remove(s.file.Name())
		s.file = nil
	}
}

// spooled is a page in a spool. It is written by one goroutine, and then read by any number.
type spooled struct {
	spool  *spool
	file   *os.File
	blocks []int64
	size   int64
}

// Write appends to the page. Its errors are the disk's: see [DiskError].
func (p *spooled) Write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		within := p.size % blockBytes
		if within == 0 && p.size == int64(len(p.blocks))*blockBytes {
			block, file, err := p.spool.acquire()
			if err != nil {
				return written, &DiskError{Err: err}
			}
			p.blocks, p.file = append(p.blocks, block), file
		}
		piece := b[written:min(len(b), written+int(blockBytes-within))]
		n, err := p.file.WriteAt(piece, p.blocks[len(p.blocks)-1]*blockBytes+within)
		written += n
		p.size += int64(n)
		if err != nil {
			return written, &DiskError{Err: err}
		}
	}
	return written, nil
}

// ReadAt is that of [io.ReaderAt].
func (p *spooled) ReadAt(b []byte, at int64) (int, error) {
	read := 0
	for read < len(b) && at < p.size {
		within := at % blockBytes
		piece := b[read:min(int64(len(b)), int64(read)+min(blockBytes-within, p.size-at))]
		n, err := p.file.ReadAt(piece, p.blocks[at/blockBytes]*blockBytes+within)
		read += n
		at += int64(n)
		if err != nil && (n < len(piece) || !errors.Is(err, io.EOF)) {
			return read, err
		}
	}
	if read < len(b) {
		return read, io.EOF
	}
	return read, nil
}

func (p *spooled) close() {
	p.spool.release(p.blocks)
	p.blocks = nil
}
