package stage

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	progressEvery = time.Minute
	lagEvery      = 5 * time.Second // while the stage is behind
)

// Progress tells what a stage does: a line for each stream and minute in which something was committed, and a line when
// the stage has caught up. Add may be called concurrently, also while Run runs.
type Progress struct {
	env   Env
	names []string

	mu      sync.Mutex
	streams map[string]*done
	moved   bool // something was committed since the stage last caught up
}

// done is what was committed of a stream since its last line.
type done struct {
	counts []int
	newest time.Time
}

// NewProgress returns the progress of a stage that counts what names say, such as "rows" and "letters".
func NewProgress(env Env, names ...string) *Progress {
	return &Progress{env: env, names: names, streams: map[string]*done{}}
}

// Add notes what a committed transaction did for a stream: as many counts as there are names, and the time of the
// newest record that it read; the zero time: it read none.
func (p *Progress) Add(stream string, newest time.Time, counts ...int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moved = true
	d := p.streams[stream]
	if d == nil {
		d = &done{counts: make([]int, len(p.names))}
		p.streams[stream] = d
	}
	for i, n := range counts {
		d.counts[i] += n
	}
	if newest.After(d.newest) {
		d.newest = newest
	}
}

// Lag is how many records of these streams a stage has left to read; without streams: of all that it runs.
type Lag func(ctx context.Context, streams ...string) (int64, error)

// Run tells until ctx ends. lag is nil if the stage reads no topic. It is not asked while nothing is committed and the
// stage is not behind.
func (p *Progress) Run(ctx context.Context, lag Lag) {
	behind, late := lag != nil, false // late: much was left at the last line
	next := time.Now().Add(progressEvery)
	for Sleep(ctx, lagEvery) == nil {
		if behind {
			behind = !p.caughtUp(ctx, lag)
		}
		if time.Now().Before(next) {
			continue
		}
		next = next.Add(progressEvery)
		left, done := p.tell(ctx, lag)
		much := left > int64(done/10) // six seconds' work: of a live stream some records are always on their way
		behind, late = behind || late && much, much
	}
}

// caughtUp reports whether nothing is left to read, and tells it if something was read since it did last.
func (p *Progress) caughtUp(ctx context.Context, lag Lag) bool {
	ctx, cancel := context.WithTimeout(ctx, lagEvery)
	defer cancel()
	n, err := lag(ctx)
	if err != nil || n > 0 {
		return false
	}
	p.mu.Lock()
	moved := p.moved
	p.moved = false
	p.mu.Unlock()
	if moved {
		p.env.Log.Info("caught up: nothing is left to read")
	}
	return true
}

// tell writes a line for each stream of which something was committed, and returns how many records of these are left,
// and how many were counted.
func (p *Progress) tell(ctx context.Context, lag Lag) (left int64, count int) {
	p.mu.Lock()
	streams := p.streams
	p.streams = map[string]*done{}
	p.mu.Unlock()
	names := make([]string, 0, len(streams))
	for name := range streams {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		d, attrs := streams[name], []any{"stream", name}
		for i, what := range p.names {
			attrs = append(attrs, what, d.counts[i])
			count += d.counts[i]
		}
		if lag != nil {
			asking, cancel := context.WithTimeout(ctx, lagEvery)
			if n, err := lag(asking, name); err == nil {
				attrs, left = append(attrs, "lag", n), left+n
			}
			cancel()
		}
		if !d.newest.IsZero() {
			attrs = append(attrs, "newest_age", time.Since(d.newest).Round(time.Millisecond).String())
		}
		p.env.Log.Info("progress", attrs...)
	}
	return left, count
}
