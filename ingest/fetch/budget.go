package fetch

import (
	"context"
	"math"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
)

// Budgets are the rate limits of a process: one for all streams that name the same host and the same limit.
type Budgets struct {
	// Most requests in flight and most pages ahead of their turn; 0: as many as there are. One API may have three
	// quarters.
	InFlight, Ahead int64

	inFlight, ahead *semaphore.Weighted
	mu              sync.Mutex
	m               map[budgetKey]*Budget
}

type budgetKey struct {
	host  string
	limit pipeline.RateLimit // zero: none
}

// For returns the budget of the streams with these settings.
func (b *Budgets) For(h pipeline.HTTP) *Budget {
	key := budgetKey{}
	if u, err := url.Parse(h.BaseURL); err == nil {
		key.host = u.Host
	}
	if h.RateLimit != nil {
		key.limit = *h.RateLimit
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.m == nil {
		b.m = map[budgetKey]*Budget{}
		b.inFlight, b.ahead = places(b.InFlight), places(b.Ahead)
	}
	if b.m[key] == nil {
		b.m[key] = newBudget(key.limit)
		b.m[key].InFlight = gate{places(b.InFlight * 3 / 4), b.inFlight}
		b.m[key].low = places(b.InFlight * 9 / 16)
		b.m[key].Ahead = gate{places(b.Ahead * 3 / 4), b.ahead}
	}
	return b.m[key]
}

// Budget is how many requests may be made. It may be used concurrently.
type Budget struct {
	InFlight, Ahead gate // for requests, and for pages that are fetched before their turn

	limit   pipeline.RateLimit
	limiter *rate.Limiter
	low     *semaphore.Weighted // for requests that others come before: some places of InFlight stay free of them
	turn    *semaphore.Weighted // one of them waits for the limiter

	pace *pace

	mu     sync.Mutex
	paused time.Time // no request before
}

func newBudget(l pipeline.RateLimit) *Budget {
	b := &Budget{limit: l, limiter: rate.NewLimiter(rate.Inf, 1), low: places(0), turn: places(1), pace: newPace()}
	b.Share(1, 1)
	return b
}

// Share makes this process's share of the budget own ÷ all: so many slices it has of those that share the budget. Other
// processes have the rest, so that the total stays within the limit.
func (b *Budget) Share(own, all int) {
	if own <= 0 || all <= 0 {
		return
	}
	share := float64(own) / float64(all)
	b.pace.mu.Lock()
	b.pace.share = min(share, 1)
	b.pace.mu.Unlock()
	if b.limit.Requests <= 0 || b.limit.Per <= 0 {
		return
	}
	b.limiter.SetLimit(rate.Limit(float64(b.limit.Requests) / b.limit.Per.Seconds() * share))
	b.limiter.SetBurst(max(1, int(float64(b.limit.Burst)*share)))
}

// enter returns when a request may be made; leave is called when it has ended. waited is called when its turn has come.
// Of low requests one at most waits for the rate limit beside those that are not, so that these wait for no other.
func (b *Budget) enter(ctx context.Context, low bool, waited func()) (leave func(), err error) {
	giveBack := func() {}
	if low {
		if err := b.low.Acquire(ctx, 1); err != nil {
			return nil, err
		}
		giveBack = func() { b.low.Release(1) }
		if err = b.turn.Acquire(ctx, 1); err == nil {
			err = b.paced(ctx, low)
			b.turn.Release(1)
		}
	} else {
		err = b.paced(ctx, low)
	}
	if err != nil {
		giveBack()
		return nil, err
	}
	waited()
	if err := b.InFlight.Enter(ctx); err != nil {
		b.pace.leave()
		giveBack()
		return nil, err
	}
	return func() {
		b.InFlight.Leave()
		b.pace.leave()
		giveBack()
	}, nil
}

// paced waits until a request may be made by what the API has taught, and by the limit.
func (b *Budget) paced(ctx context.Context, low bool) error {
	if err := b.pace.enter(ctx, low); err != nil {
		return err
	}
	if err := b.Wait(ctx); err != nil {
		b.pace.leave()
		return err
	}
	return nil
}

// Wait returns when a request may be made.
func (b *Budget) Wait(ctx context.Context) error {
	for {
		if err := b.limiter.Wait(ctx); err != nil {
			if ctx.Err() == nil { // the deadline is nearer than the turn: Wait says so at once
				<-ctx.Done()
			}
			return ctx.Err()
		}
		b.mu.Lock()
		pause := time.Until(b.paused)
		b.mu.Unlock()
		if pause <= 0 {
			return nil
		}
		if err := stage.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func places(n int64) *semaphore.Weighted {
	if n <= 0 {
		n = math.MaxInt64
	}
	return semaphore.NewWeighted(n)
}

// gate lets some through at a time, of one API and of the process.
type gate struct{ own, all *semaphore.Weighted }

// Enter waits for a place; Leave gives it back.
func (g gate) Enter(ctx context.Context) error {
	if err := g.own.Acquire(ctx, 1); err != nil {
		return err
	}
	if err := g.all.Acquire(ctx, 1); err != nil {
		g.own.Release(1)
		return err
	}
	return nil
}

// Leave is called once for each Enter that returned nil.
func (g gate) Leave() {
	g.all.Release(1)
	g.own.Release(1)
}

// Pause lets no request through for d from now.
func (b *Budget) Pause(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until := time.Now().Add(d); until.After(b.paused) {
		b.paused = until
	}
}
