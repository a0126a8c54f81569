package webhook

import (
	"sync"

	"github.com/zeebo/xxh3"
)

// Known remembers the ids of deliveries that were taken lately, up to a bound. It may be used concurrently.
type Known struct {
	mu   sync.Mutex
	ids  map[xxh3.Uint128]struct{}
	ring []xxh3.Uint128
	next int

	bound int
}

// NewKnown returns one that remembers so many.
func NewKnown(bound int) *Known {
	return &Known{ids: map[xxh3.Uint128]struct{}{}, bound: bound}
}

// Has reports whether a delivery was taken; none has an empty id.
func (k *Known) Has(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.ids[xxh3.HashString128(id)]
	return ok && id != ""
}

// Add remembers a delivery, and forgets the oldest where there are too many.
func (k *Known) Add(id string) {
	if id == "" {
		return
	}
	h := xxh3.HashString128(id)
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.ids[h]; ok {
		return
	}
	if len(k.ring) < k.bound {
		k.ring = append(k.ring, h)
	} else {
		delete(k.ids, k.ring[k.next])
		k.ring[k.next] = h
		k.next = (k.next + 1) % len(k.ring)
	}
	k.ids[h] = struct{}{}
}
