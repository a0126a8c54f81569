package redo

import "github.com/zeebo/xxh3"

// keys is what is known of each key. It holds no pointers of its own to entries, so that the collector has little to
// do.
type keys struct {
	at      map[xxh3.Uint128]uint32
	entries [][]entry // chunks
	unused  []uint32
	used    uint32
}

const entriesChunk = 4096

// entry is what is known of a key. The newest record is at least as new as the newest good one.
type entry struct{ newest, good position }

// position is the version of a record: all of a topic are of one epoch. Offset -1: none.
type position struct{ source, offset int64 }

var none = position{offset: -1}

func (p position) above(q position) bool {
	return q == none || p.source > q.source || p.source == q.source && p.offset > q.offset
}

func newKeys() *keys { return &keys{at: map[xxh3.Uint128]uint32{}} }

func (k *keys) len() int { return len(k.at) }

func (k *keys) entry(i uint32) *entry { return &k.entries[i/entriesChunk][i%entriesChunk] }

// get returns the entry of a key, or nil. It is valid until the key is removed.
func (k *keys) get(hash xxh3.Uint128) *entry {
	if i, ok := k.at[hash]; ok {
		return k.entry(i)
	}
	return nil
}

// add adds a key that is not there.
func (k *keys) add(hash xxh3.Uint128) *entry {
	i := k.used
	if n := len(k.unused); n > 0 {
		i, k.unused = k.unused[n-1], k.unused[:n-1]
	} else {
		if int(i/entriesChunk) == len(k.entries) {
			k.entries = append(k.entries, make([]entry, entriesChunk))
		}
		k.used++
	}
	k.at[hash] = i
	e := k.entry(i)
	*e = entry{none, none}
	return e
}

// remove removes the keys for which f returns true.
func (k *keys) remove(f func(xxh3.Uint128, *entry) bool) {
	for hash, i := range k.at {
		if f(hash, k.entry(i)) {
			delete(k.at, hash)
			k.unused = append(k.unused, i)
		}
	}
}
