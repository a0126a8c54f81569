package quakeapi

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	heldBack = 220 // of the recorded events, the last ones: published while the server runs

	// The catalogue's own clock: it stands at the end of the recorded week when the server starts, and moves
	// on by this with each release, so that updated, since and look-back have a real week's proportions.
	releaseStep = 37 * time.Second
	maxCatchUp  = 20_000 // releases
)

// catalogue is what the server knows: the events published so far, in every revision. It may be used
// concurrently.
//
// Invariant: for a query of a fixed updatedafter, ordered by time, the list of matching events only grows, and
// no event moves before another. Whoever walks its pages one after the other may see an event twice, but misses none.
type catalogue struct {
	mu       sync.RWMutex
	events   []*event // by time, oldest first; ties by id
	byID     map[string]*event
	held     []*revision // not published yet, oldest first
	rand     *rand.Rand
	released int   // how many releases there have been
	served   int   // how many of events have been served
	start    int64 // Unix ms on the catalogue's clock, when the server started
	now      int64 // and now
	err      error // why no more can be published; a defect of this package
}

// event is all revisions of one event, oldest first; at least one.
type event struct {
	revisions []*revision
	served    int // number of the newest revision that was in an answer written to its end; 0: none was
}

func (e *event) newest() *revision { return e.revisions[len(e.revisions)-1] }

// newCatalogue is the recorded week but for its last events, which are held back. What follows depends on seed.
func newCatalogue(seed uint64) (*catalogue, error) {
	all, err := loadRecorded()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, byTime)
	c := &catalogue{
		byID: make(map[string]*event, len(all)),
		held: all[len(all)-heldBack:],
		rand: rand.New(rand.NewPCG(seed, 0x6d696c6c72616365)),
	}
	for _, r := range all {
		c.start = max(c.start, r.Properties.Updated)
	}
	c.now = c.start
	for _, r := range all[:len(all)-heldBack] {
		e := &event{revisions: []*revision{r}}
		c.events = append(c.events, e)
		c.byID[r.ID] = e
	}
	return c, nil
}

func byTime(a, b *revision) int {
	return cmp.Or(cmp.Compare(a.Properties.Time, b.Properties.Time), cmp.Compare(a.ID, b.ID))
}

// advance makes releases until there have been n. It returns the catalogue's time, in Unix ms.
func (c *catalogue) advance(n int) (now int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.released < n && c.err == nil {
		c.err = c.release()
	}
	return c.now, c.err
}

// release publishes one revision: of a further event, or of one that is published already.
func (c *catalogue) release() error {
	c.now += releaseStep.Milliseconds() + c.rand.Int64N(1000)
	kind := kinds[c.released%len(kinds)]
	c.released++
	if kind == kindEvent || kind == kindNameless {
		if len(c.held) > 0 {
			return c.publish(kind)
		}
		kind = kindReview
	}
	e := c.pick(kind)
	r, err := revise(e.newest(), kind, c.now, c.rand)
	if err != nil {
		return fmt.Errorf("release %d: %w", c.released, err)
	}
	e.revisions = append(e.revisions, r)
	return nil
}

// publish takes the oldest event that is held back; it is younger than all that are published, so that it comes last by
// time.
func (c *catalogue) publish(kind kind) error {
	f := c.held[0].feature
	c.held = c.held[1:]
	f.Properties.Updated = c.now
	if kind == kindNameless {
		f.Properties.Place = nil
	}
	r, err := newRevision(f, 1)
	if err != nil {
		return fmt.Errorf("release %d: %w", c.released, err)
	}
	e := &event{revisions: []*revision{r}}
	c.events = append(c.events, e)
	c.byID[r.ID] = e
	return nil
}

// pick chooses a published event that a revision of that kind makes sense for, else any.
func (c *catalogue) pick(kind kind) *event {
	var e *event
	for range 1000 {
		e = c.events[c.rand.IntN(len(c.events))]
		if kind.suits(e) {
			break
		}
	}
	return e
}

// catchUp makes releases until the catalogue's time has reached after (Unix ms), but not without end. Whoever asks for
// what came after that time has seen it: in a server of the same seed that has been stopped since.
func (c *catalogue) catchUp(after int64) (now int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.now < after && c.released < maxCatchUp && c.err == nil {
		c.err = c.release()
	}
	return c.now, c.err
}

// recent is the time, in Unix ms, after which a change is one of the last day before the server started, or later.
func (c *catalogue) recent() int64 { return c.start - (24 * time.Hour).Milliseconds() }

// each calls f with each published event, oldest first, until f answers false. f must not keep the event.
func (c *catalogue) each(f func(*event) bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, e := range c.events {
		if !f(e) {
			return
		}
	}
}

// markServed notes that an answer with these revisions was written to its end. It says whether every event has been
// served by now.
func (c *catalogue) markServed(revisions []*revision) (all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range revisions {
		e := c.byID[r.ID]
		if e.served == 0 {
			c.served++
		}
		e.served = max(e.served, r.number)
	}
	return c.served == len(c.events)
}
