package processor

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// arena is the memory of what a worker produces, so that a record costs no allocation. All of it lives until
// the transaction has ended; then it is used again (reset), or left to the garbage collector where the
// outcome is not known and the client may still hold on to records.
type arena struct {
	bytes   chunks[byte]
	records chunks[kgo.Record]
	heads   chunks[kgo.RecordHeader]
}

const (
	arenaBytes   = 256 << 10
	arenaRecords = 512
	// arenaKeep is how many chunks of a kind a reset keeps: what an ordinary transaction needs.
	arenaKeep = 16
)

func newArena() *arena {
	return &arena{chunks[byte]{size: arenaBytes}, chunks[kgo.Record]{size: arenaRecords}, chunks[kgo.RecordHeader]{size: 2 * arenaRecords}}
}

// chunks hands out pieces of slices. used are full; what is left of the last one is free.
type chunks[T any] struct {
	size int
	used [][]T
	next int // of used: the chunk with free space
}

// free returns the free space of the chunk in use, at least a fraction of a chunk. What is appended beyond its capacity
// is allocated by append, which is right for large values.
func (c *chunks[T]) free() []T {
	if c.next < len(c.used) && cap(c.used[c.next])-len(c.used[c.next]) < c.size/64 {
		c.next++
	}
	if c.next == len(c.used) {
		c.used = append(c.used, make([]T, 0, c.size))
	}
	at := c.used[c.next]
	return at[len(at):]
}

// keep marks what was appended to free as used.
func (c *chunks[T]) keep(appended []T) []T {
	at := c.used[c.next]
	if n := len(at) + len(appended); len(appended) > 0 && n <= cap(at) && &at[:n][len(at)] == &appended[0] {
		c.used[c.next] = at[:n]
	}
	return slices.Clip(appended)
}

func (c *chunks[T]) reset() {
	if len(c.used) > arenaKeep {
		clear(c.used[arenaKeep:])
		c.used = c.used[:arenaKeep]
	}
	for i := range c.used {
		c.used[i] = c.used[i][:0]
	}
	c.next = 0
}

// free and headers return free memory; keep and keepHeaders mark as used what was appended to it.
func (a *arena) free() []byte                                        { return a.bytes.free() }
func (a *arena) keep(b []byte) []byte                                { return a.bytes.keep(b) }
func (a *arena) headers() []kgo.RecordHeader                         { return a.heads.free() }
func (a *arena) keepHeaders(h []kgo.RecordHeader) []kgo.RecordHeader { return a.heads.keep(h) }

// record returns a record of the arena's memory.
func (a *arena) record() *kgo.Record {
	r := a.records.keep(append(a.records.free(), kgo.Record{}))
	return &r[0]
}

func (a *arena) reset() {
	a.bytes.reset()
	a.records.reset()
	a.heads.reset()
}
