package ingest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/written"
	"github.com/millrace-io/millrace/pipeline"
)

// backfill is what is left to fetch of a slice's past, which windows cut. It is the state of the slice's cursor that
// its passes know nothing of.
//
//	first page of a pass ── spans before since ──► pending ── committed ──► stretches ── take ──► open ── last page ──► (nothing)
//	                                                                            ▲── split ────────┘
//
// What must hold: pending, stretches and open together hold all that is not committed yet, so that whatever is written
// down of them with the pages of a transaction loses nothing. It may be used concurrently; what transactions do is done
// by one goroutine.
type backfill struct {
	scale cursor.Scale
	rule  *pipeline.Window
	form  cursor.Form // of bounds, where the file does not say

	mu        sync.Mutex
	pending   []cursor.Stretch // of a transaction in hand
	stretches []cursor.Stretch // the last is taken first
	open      []*cursor.Window // by number
	idle      []*cursor.Window // of open: nobody fetches them
	lacking   []cursor.Span    // the last mostLacking
	number    int64
	doubt     bool
	ending    bool          // the last page of a window is in the transaction in hand
	newest    cursor.Cursor // the slice's last cursor that was committed
	told      time.Time

	work chan struct{} // there may be something to take
}

// mostLacking is how many windows that could not be fetched whole are remembered.
const mostLacking = 20

// newBackfill restores what c has of a back-fill.
func newBackfill(in *pipeline.Ingest, scale cursor.Scale, c cursor.Cursor) *backfill {
	b := &backfill{
		scale: scale, rule: in.Incremental.Window, form: scale.StartForm(in.Incremental.Start), work: make(chan struct{}, 1), newest: c,
		told: time.Now(),
	}
	if w := c.Windows; w != nil {
		b.stretches, b.lacking, b.number, b.doubt = slices.Clone(w.Stretches), slices.Clone(w.Lacking), w.Number, w.Doubt
		for _, o := range w.Open {
			b.open = append(b.open, &o)
		}
		b.idle = slices.Clone(b.open)
		slices.Reverse(b.idle) // the last is taken first
	}
	b.signal()
	return b
}

func (b *backfill) signal() {
	select {
	case b.work <- struct{}{}:
	default:
	}
}

// await waits for a window to fetch.
func (b *backfill) await(ctx context.Context) (cursor.Window, error) {
	for {
		if w, ok := b.next(); ok {
			return w, nil
		}
		select {
		case <-b.work:
		case <-ctx.Done():
			return cursor.Window{}, ctx.Err()
		}
	}
}

func (b *backfill) next() (cursor.Window, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.idle); n > 0 {
		w := b.idle[n-1]
		b.idle = b.idle[:n-1]
		return *w, true
	}
	n := len(b.stretches)
	if n == 0 {
		return cursor.Window{}, false
	}
	s := &b.stretches[n-1]
	b.number++
	w := &cursor.Window{Span: s.Span, Number: b.number}
	if !s.Whole {
		w.To = min(s.To, b.scale.Step(s.From, b.rule.Step))
	}
	if s.From = w.To; s.From >= s.To {
		b.stretches = b.stretches[:n-1]
	}
	b.open = append(b.open, w)
	return *w, true
}

// add has a stretch fetched, once the transaction in hand is committed.
func (b *backfill) add(s ...cursor.Stretch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending = append(b.pending, s...)
}

// committed says that a transaction was committed, with newest as the slice's cursor.
func (b *backfill) committed(newest cursor.Cursor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.newest, b.ending = newest, false
	if len(b.pending) > 0 {
		b.stretches = append(b.stretches, b.pending...)
		b.pending = nil
		b.signal()
	}
}

// page notes that a page of a window is in the transaction in hand.
func (b *backfill) page(number int64, after cursor.Cursor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := b.find(number)
	switch {
	case i < 0:
	case after.Done:
		b.open = slices.Delete(b.open, i, i+1)
		b.doubt, b.ending = b.doubt || after.Doubt, true
	default:
		b.open[i].Request, b.open[i].Next, b.open[i].Partial = after.Request, after.Next, after.Partial
	}
}

func (b *backfill) find(number int64) int {
	return slices.IndexFunc(b.open, func(w *cursor.Window) bool { return w.Number == number })
}

// split cuts an open window in two; false if it cannot be cut.
func (b *backfill) split(w cursor.Window) bool {
	middle, ok := b.scale.Half(w.Span, b.form)
	if !ok {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := b.find(w.Number); i >= 0 {
		b.open = slices.Delete(b.open, i, i+1)
		b.stretches = append(b.stretches,
			cursor.Stretch{Span: cursor.Span{From: middle, To: w.To}, Whole: true}, cursor.Stretch{Span: cursor.Span{From: w.From, To: middle}, Whole: true})
	}
	b.signal()
	return true
}

// lacks notes a span that the API does not show whole.
func (b *backfill) lacks(s cursor.Span) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.lacking, s) {
		b.lacking = append(b.lacking, s)
		b.lacking = b.lacking[max(0, len(b.lacking)-mostLacking):]
	}
}

// drop ends a window of which nothing more can be fetched.
func (b *backfill) drop(number int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := b.find(number); i >= 0 {
		b.open = slices.Delete(b.open, i, i+1)
	}
}

// state is what the slice's cursor holds of it; nil: nothing is left.
func (b *backfill) state() *cursor.Windows {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := &cursor.Windows{Stretches: slices.Concat(b.stretches, b.pending), Lacking: slices.Clone(b.lacking), Number: b.number, Doubt: b.doubt}
	for _, o := range b.open {
		w.Open = append(w.Open, *o)
	}
	if len(w.Stretches)+len(w.Open)+len(w.Lacking) == 0 && !w.Doubt {
		return nil
	}
	return w
}

// last is the slice's last cursor that was committed.
func (b *backfill) last() cursor.Cursor {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newest
}

// settled reports whether nothing is left to fetch, and all is committed.
func (b *backfill) settled() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.stretches)+len(b.pending)+len(b.open) == 0 && !b.ending
}

// lowest is the lowest value that is left to fetch; written.Always: there is none.
func (b *backfill) lowest() int64 {
	if from, ok := b.state().Lowest(); ok {
		return from
	}
	return written.Always
}

// left is how much time is left to fetch.
func (b *backfill) left() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	var sum int64
	for _, s := range slices.Concat(b.stretches, b.pending) {
		sum += s.To - s.From
	}
	for _, o := range b.open {
		sum += o.To - o.From
	}
	return time.Duration(sum) * time.Microsecond
}
