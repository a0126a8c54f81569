package ingest

import (
	"context"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
)

// TestRoomIsTakenInTurn: a transaction that needs all the room gets it, however many small ones come after it.
func TestRoomIsTakenInTurn(t *testing.T) {
	t.Parallel()
	r := newRoom(100)
	waiting := func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.waiting)
	}
	take := func(want int64) <-chan int64 {
		got := make(chan int64, 1)
		before := waiting()
		go func() {
			n, err := r.acquire(t.Context(), want)
			if err != nil {
				t.Error(err)
			}
			got <- n
		}()
		testkit.Eventually(t, 2*time.Minute, testkit.That("it took or waits", func() bool { return len(got) > 0 || waiting() > before }))
		return got
	}
	small := take(10)
	large := take(100)
	after := take(10)
	if len(small) != 1 || len(large) != 0 || len(after) != 0 {
		t.Fatalf("small took %d, large %d, the small one after it %d: want that only the first took", len(small), len(large), len(after))
	}
	if r.more(10) {
		t.Error("an open transaction took more room while another waits for it")
	}
	r.release(<-small)
	if n := <-large; n != 100 {
		t.Errorf("the large one took %d", n)
	}
	if len(after) != 0 {
		t.Error("the room was given twice")
	}
	r.release(100)
	if n := <-after; n != 10 {
		t.Errorf("the small one took %d", n)
	}
}

// TestRoomOfOneThatGaveUp: one that no longer waits holds nobody up, and takes nothing.
func TestRoomOfOneThatGaveUp(t *testing.T) {
	t.Parallel()
	r := newRoom(100)
	if n, err := r.acquire(t.Context(), 60); n != 60 || err != nil {
		t.Fatal(n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := r.acquire(ctx, 100); err == nil {
		t.Fatalf("took %d after its context had ended", n)
	}
	if n, err := r.acquire(t.Context(), 40); n != 40 || err != nil {
		t.Fatal(n, err)
	}
	r.release(60)
	r.release(40)
	if n, err := r.acquire(t.Context(), 100); n != 100 || err != nil {
		t.Fatal(n, err)
	}
}
