package ingest

import (
	"context"
	"errors"
	"sync"
)

// errPaused ends the requests of a stream that was paused.
var errPaused = errors.New("the stream is paused")

// gate holds up the slices of a stream while it is paused. It may be used concurrently.
type gate struct {
	mu     sync.Mutex
	isShut bool
	turned chan struct{} // closed when the gate is opened or shut, and replaced
}

func newGate() *gate { return &gate{turned: make(chan struct{})} }

func (g *gate) state() (shut bool, turned <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.isShut, g.turned
}

// set opens or shuts the gate, and reports whether it was the other way.
func (g *gate) set(shut bool) (changed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isShut == shut {
		return false
	}
	g.isShut = shut
	close(g.turned)
	g.turned = make(chan struct{})
	return true
}

// enter waits until the gate is open.
func (g *gate) enter(ctx context.Context) error {
	for {
		shut, turned := g.state()
		if !shut {
			return ctx.Err()
		}
		select {
		case <-turned:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// during is ctx until the gate is shut; its cause is errPaused then. cancel must be called.
func (g *gate) during(ctx context.Context) (open context.Context, cancel func()) {
	open, end := context.WithCancelCause(ctx)
	shut, turned := g.state()
	if shut {
		end(errPaused)
		return open, func() { end(nil) }
	}
	go func() {
		select {
		case <-turned:
			end(errPaused)
		case <-open.Done():
		}
	}()
	return open, func() { end(nil) }
}
