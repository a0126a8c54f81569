package known

import "github.com/zeebo/xxh3"

// Restored is what the state topic has of a slice.
type Restored struct {
	index map[uint64]entry // seen is the pass in which it was written
	err   error
}

// NewRestored returns nothing, to which [Restored.Apply] adds.
func NewRestored() *Restored { return &Restored{index: map[uint64]entry{}} }

// ID is the hash by which a raw key is known.
func ID(raw []byte) uint64 { return xxh3.Hash128(raw).Lo }

// Apply applies a record of the state topic; a nil value removes the key.
func (r *Restored) Apply(raw string, value []byte) {
	id := ID([]byte(raw))
	if value == nil {
		delete(r.index, id)
		return
	}
	pass, rev, err := decode(value)
	if err != nil {
		r.err = err
		return
	}
	e := entry{content: rev.Content, source: rev.Source, seen: uint32(pass), flags: isStored}
	if rev.HasContent {
		e.flags |= hasContent
	}
	if rev.HasSource {
		e.flags |= hasSource
	}
	r.index[id] = e
}

// Err is the first record that could not be read.
func (r *Restored) Err() error {
	if r == nil {
		return nil
	}
	return r.err
}
