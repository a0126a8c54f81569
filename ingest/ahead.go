package ingest

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/paginate"
)

// pages gives the pages of a pass in order, from the slice's plan on. Where pages can be addressed, several requests
// are in flight at once; what they bring waits here for its turn, so the order in which answers come does not matter.
type pages struct {
	s      *slice
	cursor cursor.Cursor     // of the pass
	at     paginate.Position // of the next page
	run    *ahead            // nil: one page at a time
	beside *overlaps         // of run; nil: what pages in flight show cannot be in doubt
	last   int64             // pages of the pass, as the API told last; 0: not known

	// keys of which it is not known which of two contents is newer, unless a page shows them that is asked for after
	// that time
	open   map[uint64]time.Time
	inTurn bool // nothing is fetched ahead any more
}

func (s *slice) pages(ctx context.Context) *pages {
	p := &pages{s: s, cursor: s.plan, at: s.plan.Next}
	if p.at.Index > 0 && !s.single {
		p.start(ctx) // a pass that was interrupted
	}
	return p
}

// start fetches ahead, if the API allows it. A pass begins with one page: often it is the only one.
func (p *pages) start(ctx context.Context) {
	pager, ok := p.s.pager.(paginate.Addressable)
	if n := p.s.stream.Ingest.Concurrency; ok && p.run == nil && n > 1 && !p.inTurn && !p.s.stops() {
		p.run = newAhead(ctx, p.s, pager, p.cursor, p.at, n, p.last)
		if p.s.reader.version == nil {
			p.beside = newOverlaps(n, &p.s.in.overlapping)
		}
	}
}

func (p *pages) get(ctx context.Context) (*page, error) {
	if p.run != nil {
		got, err := p.run.next(ctx)
		if err != nil && p.at.Closing { // it was asked for before it was known that it may be past the end
			p.stop()
			return p.s.fetch(ctx, p.cursor, p.at)
		}
		if got != nil {
			got.at = p.at // what was guessed of it is known now
		}
		if got != nil || err != nil {
			return got, err
		}
		p.stop() // there are more pages than the API told: on from here
	}
	return p.s.fetch(ctx, p.cursor, p.at)
}

// advance says which page follows got.
func (p *pages) advance(ctx context.Context, got *page, at paginate.Position) {
	p.at = at
	if pager, ok := p.s.pager.(paginate.Addressable); ok {
		if p.run != nil && pager.Guess(got.at).At != at.At {
			p.stop() // the API gave fewer records than asked for: other pages are wanted
		}
		if n, ok := pager.Pages(&got.summary); ok {
			p.last = n
		}
	}
	p.start(ctx)
}

// stop ends what is in flight and throws away what was fetched too far.
func (p *pages) stop() {
	if p.run != nil {
		p.run.stop()
		if p.beside != nil {
			p.beside.close()
		}
		p.run, p.beside = nil, nil
	}
}

// ahead fetches pages at guessed positions. Its goroutines end with stop.
type ahead struct {
	futures chan *future // in the order of the pages; closed after the last
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

type future struct {
	leave func() // gives its place back
	page  *page
	err   error
	done  chan struct{}
}

// window is how many pages may wait for their turn or be in flight, for each request in flight: one slow answer
// does not hold up the requests behind it.
const window = 4

// newAhead fetches from a position on, and not past the number of pages last, if that is known.
func newAhead(
	ctx context.Context, s *slice, pager paginate.Addressable, c cursor.Cursor, from paginate.Position,
	concurrency int, last int64,
) *ahead {
	ctx, cancel := context.WithCancel(ctx)
	a := &ahead{futures: make(chan *future, window*concurrency), cancel: cancel}
	a.wg.Go(func() {
		defer close(a.futures)
		free := make(chan struct{}, concurrency) // a token for each request in flight
		for at := from; last == 0 || at.Index < last; at = pager.Guess(at) {
			select {
			case free <- struct{}{}:
			case <-ctx.Done():
				return
			}
			// Those who have places have the page whose turn it is among them, so places become free.
			gate := s.client.Budget().Ahead
			if gate.Enter(ctx) != nil {
				return
			}
			f := &future{leave: gate.Leave, done: make(chan struct{})}
			a.wg.Go(func() {
				growStack()
				defer close(f.done)
				f.page, f.err = s.fetch(ctx, c, at)
				<-free
			})
			select {
			case a.futures <- f:
			case <-ctx.Done():
				<-f.done
				f.discard()
				return
			}
		}
	})
	return a
}

// growStack has the goroutine's stack grown at once to what a request takes, while there is nothing on it yet that
// would be copied. A goroutine lives for one page, and its stack would grow in three steps.
//
//go:noinline
func growStack() {
	var frame [stackBytes]byte
	keepFrame(&frame)
}

//go:noinline
func keepFrame(*[stackBytes]byte) {}

const stackBytes = 12 << 10

// next returns the next page, at a position that was guessed; nil after the last.
func (a *ahead) next(ctx context.Context) (*page, error) {
	var f *future
	select {
	case f = <-a.futures:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if f == nil {
		return nil, ctx.Err()
	}
	<-f.done // soon after ctx has ended, too
	f.leave()
	if f.err != nil || ctx.Err() != nil {
		f.close()
		return nil, cmp.Or(ctx.Err(), f.err)
	}
	return f.page, nil
}

// discard gives up a page whose turn never came.
func (f *future) discard() {
	f.leave()
	f.close()
}

func (f *future) close() {
	if f.page != nil {
		f.page.close()
	}
}

func (a *ahead) stop() {
	a.cancel()
	for f := range a.futures {
		<-f.done
		f.discard()
	}
	a.wg.Wait()
}
