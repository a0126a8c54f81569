package known

import (
	"sync/atomic"

	"github.com/millrace-io/millrace/ingest/cursor"
)

// Room is how many keys all slices of a process may know together. It may be used concurrently.
type Room struct {
	most int64
	used atomic.Int64
}

// NewRoom returns room for so many keys.
func NewRoom(most int) *Room { return &Room{most: int64(most)} }

// Most is how many keys there is room for.
func (r *Room) Most() int64 { return r.most }

func (r *Room) acquire() bool {
	if r.used.Add(1) <= r.most {
		return true
	}
	r.used.Add(-1)
	return false
}

func (r *Room) release(n int) { r.used.Add(-int64(n)) }

// Keys are the keys of a slice. They must not be used concurrently, but for [Keys.Close].
//
// What must hold: a key that the index has was written to the raw topic, and no tombstone of it came after that. A key
// that it does not have may be there; it is not deleted then.
type Keys struct {
	room  *Room
	index map[uint64]entry // by hash
	read  int64            // number of the last read that counts; 0: none
	left  bool             // it has left keys

	// Of the read under way, if it is one:
	pass    int64 // its number; 0: none
	shown   int64 // keys that it has shown
	fresh   int64 // of these, that no complete read before has shown
	sum     uint64
	twice   bool   // a key came twice
	blinded string // why it cannot tell what is gone; empty: it can
}

type entry struct {
	content uint64
	source  int64
	seen    uint32 // low bits of the number of the last read that showed it
	flags   uint8
}

const (
	hasContent = 1 << iota
	hasSource
	isFresh  // no complete read has ended since it came
	isStored // the state topic has it
	isLater  // it was shown, or written, after the last read that counts
)

// Adopt returns the keys that r has restored, as far as they count: see [cursor.Known]. Those for which there is no
// room are left out.
func Adopt(r *Restored, k *cursor.Known, room *Room) *Keys {
	out := &Keys{room: room, index: map[uint64]entry{}}
	if r == nil || k == nil {
		return out
	}
	out.index, out.read, out.left = r.index, k.Read, k.Left > 0
	for id, e := range out.index {
		written := int64(e.seen)
		if written < k.Era || !room.acquire() {
			delete(out.index, id)
			continue
		}
		if written < k.Base {
			e.flags &^= hasContent
		}
		if written > k.Read {
			e.flags |= isLater
		}
		e.seen = 0
		out.index[id] = e
	}
	return out
}

// Close gives the room back.
func (k *Keys) Close() { k.room.release(len(k.index)) }

// Len is how many keys there are.
func (k *Keys) Len() int { return len(k.index) }

// Begin says that the first page of a read of everything comes now.
func (k *Keys) Begin(pass int64) {
	k.pass, k.shown, k.fresh, k.sum, k.twice, k.blinded = pass, 0, 0, 0, false, ""
}

// Reads reports whether the pass of that number is a read that was begun here, and so has marked all that it has shown.
func (k *Keys) Reads(pass int64) bool { return k.pass == pass && pass != 0 }

// Blind says why the read under way cannot tell what is gone. The first reason stays.
func (k *Keys) Blind(why string) {
	if k.blinded == "" {
		k.blinded = why
	}
}

// See says that the read under way shows a key. One that is not known is taken in if it is going to be written.
func (k *Keys) See(id uint64, writes bool) {
	e, ok := k.index[id]
	switch {
	case ok && e.seen == uint32(k.pass):
		k.twice = true
		return
	case !ok && !writes:
		return
	case !ok && !k.room.acquire():
		k.Blind(full)
		return
	case !ok:
		e.flags = isFresh
	}
	e.seen = uint32(k.pass)
	e.flags |= isLater
	k.index[id] = e
	k.shown++
	if e.flags&isFresh != 0 {
		k.fresh++
		return
	}
	k.sum += mix(id)
}

const full = "the slices of the stream in one process have more keys than deletes.max_keys"

// mix spreads a hash, so that sums of different sets differ.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// Unchanged reports whether content is what was written last for a key.
func (k *Keys) Unchanged(id, content uint64) bool {
	e, ok := k.index[id]
	return ok && e.flags&hasContent != 0 && e.content == content
}

// Write says that a record of a key was shown in a pass, and is in the raw topic. What it returns is to be written to
// the state topic with it; nil: nothing is. The highest version of a key is kept, whatever comes behind it: pages that
// are asked for at the same time may bring an older one last, and a tombstone with that would delete no row.
func (k *Keys) Write(id uint64, pass int64, r Revision) []byte {
	e, ok := k.index[id]
	if e.flags&hasSource != 0 && r.HasSource {
		r.Source = max(r.Source, e.source)
	}
	later := e.flags & isLater
	if pass > k.read {
		later = isLater
	}
	if ok && e.flags&isStored != 0 && e.revision() == r {
		tells := k.left && later != e.flags&isLater && k.pass != pass // what the read before has left may be there again
		if e.flags |= later; !tells {
			k.index[id] = e
			return nil
		}
	}
	if !ok {
		if !k.room.acquire() {
			k.Blind(full)
			return nil
		}
		e.flags = isFresh
	}
	e.flags &= isFresh
	e.flags |= isStored | later
	e.content, e.source = r.Content, r.Source
	if r.HasContent {
		e.flags |= hasContent
	}
	if r.HasSource {
		e.flags |= hasSource
	}
	k.index[id] = e
	return encode(pass, r)
}

// Delete says that a tombstone of a key is in the raw topic, and reports whether the key was known: then its record in
// the state topic is to be removed.
func (k *Keys) Delete(id uint64) bool {
	e, ok := k.index[id]
	if !ok {
		return false
	}
	if k.pass != 0 && e.seen == uint32(k.pass) {
		k.shown--
		if e.flags&isFresh != 0 {
			k.fresh--
		} else {
			k.sum -= mix(id)
		}
	}
	delete(k.index, id)
	k.room.release(1)
	return true
}

// Revision is the content of a key that was written last, with the highest version that was.
func (k *Keys) Revision(id uint64) Revision { return k.index[id].revision() }

func (e entry) revision() Revision {
	return Revision{Content: e.content, HasContent: e.flags&hasContent != 0, Source: e.source, HasSource: e.flags&hasSource != 0}
}
