package ingest

import (
	"context"
	"slices"
	"sync"
	"time"
)

// room is how many bytes of records all open transactions of a process may hold together. The brokers may be unable to
// take so many before they abort a transaction: over a slow link, or under a quota. So a transaction that runs out of
// time halves the room, and one that ends in good time doubles it. It may be used concurrently.
type room struct {
	most int64

	mu      sync.Mutex
	now     int64
	used    int64
	waiting []*turn // first come, first served
}

// turn is a transaction that waits to begin.
type turn struct {
	want int64
	got  chan int64 // one buffered
}

// leastRoom is enough for the record in hand: a transaction takes one at least.
const leastRoom = 64 << 10

func newRoom(most int64) *room { return &room{most: most, now: most} }

// acquire waits for its turn, and until there is room for want bytes, or for as many as there may be at most. A
// transaction that has nothing yet takes; one that has asks for [room.more], so that none waits for another that waits.
func (r *room) acquire(ctx context.Context, want int64) (int64, error) {
	t := &turn{want: want, got: make(chan int64, 1)}
	r.change(func() { r.waiting = append(r.waiting, t) })
	select {
	case got := <-t.got:
		return got, nil
	case <-ctx.Done():
	}
	r.change(func() {
		r.waiting = slices.DeleteFunc(r.waiting, func(o *turn) bool { return o == t })
		if len(t.got) > 0 {
			r.used -= <-t.got
		}
	})
	return 0, ctx.Err()
}

// more takes n bytes if there is room for them, and nobody waits for it.
func (r *room) more(n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) > 0 || r.used+n > r.now {
		return false
	}
	r.used += n
	return true
}

// release returns what a transaction acquired.
func (r *room) release(n int64) { r.change(func() { r.used -= n }) }

// change calls f and lets those begin for whom there is room then.
func (r *room) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	for len(r.waiting) > 0 {
		got := min(r.waiting[0].want, r.now)
		if r.used > 0 && r.used+got > r.now {
			return
		}
		r.used += got
		r.waiting[0].got <- got
		r.waiting = slices.Delete(r.waiting, 0, 1)
	}
}

// failed is told of a transaction of so many bytes that did not commit, and how long it took of the time that it had.
func (r *room) failed(bytes int64, took, had time.Duration) {
	if took < had/2 {
		return // for another reason than its size
	}
	r.change(func() { r.now = max(leastRoom, min(r.now, bytes)/2) })
}

// committed is told of a transaction that committed.
func (r *room) committed(took, had time.Duration) {
	if took < had/4 {
		r.change(func() { r.now = min(r.most, 2*r.now) })
	}
}
