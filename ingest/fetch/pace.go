package fetch

import (
	"context"
	"math"
	"net/http"
	"sync"
	"time"
)

// pace is what the answers of an API have taught: how many requests are left of its quota, until when, and how many in
// flight it bears. It may be used concurrently.
//
// A 429 or 503 halves what may be in flight; as many answers that are none of these as may be in flight add one. What
// is left of a quota is shared: a process takes of it what its share is of the API's slices.
type pace struct {
	mu      sync.Mutex
	changed chan struct{} // closed when somebody who waits may go on, and replaced
	flying  int
	live    int       // that wait and are not low
	most    int       // in flight; 0: any number
	good    int       // answers since most was changed
	cut     time.Time // when most was halved: what was asked before says nothing more
	share   float64   // of this process

	known   bool      // of the quota:
	resets  time.Time // then it is another
	least   int64     // left of it, as the answers said; it only falls
	left    int64     // of it, for this process
	used    int64     // of it, by this process
	limit   int64     // the most that was left of one
	assumed bool      // that a new one began, as the one before has ended: resets is not known
}

// unbounded is how many requests in flight are taken for any number.
const unbounded = 256

func newPace() *pace { return &pace{changed: make(chan struct{}), share: 1} }

// enter waits until a request may be made; low requests wait for those that are not. It returns how long the quota was
// waited for.
func (p *pace) enter(ctx context.Context, low bool) error {
	waits := false
	defer func() {
		if waits {
			p.mu.Lock()
			p.live--
			p.wake()
			p.mu.Unlock()
		}
	}()
	for {
		p.mu.Lock()
		rest, ok := p.may(low, waits)
		if ok {
			p.flying++
			p.used++
			p.left--
			p.mu.Unlock()
			return nil
		}
		if !low && !waits {
			waits = true
			p.live++
		}
		changed := p.changed
		p.mu.Unlock()
		timer := time.NewTimer(rest)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		timer.Stop()
	}
}

// may reports whether a request may be made, or how long to wait at most before it is asked again.
func (p *pace) may(low, waits bool) (rest time.Duration, ok bool) {
	const untilChanged = time.Hour
	if now := time.Now(); p.known && !p.assumed && !now.Before(p.resets) {
		p.assumed, p.least, p.used = true, p.limit, int64(p.flying)
		p.left = p.mine()
	}
	switch {
	case low && p.live > 0, !low && !waits && p.live > 0, p.most > 0 && p.flying >= p.most:
		return untilChanged, false
	case !p.known || p.left > 0, p.assumed && p.flying == 0:
		return 0, true
	case p.assumed:
		return untilChanged, false
	}
	return time.Until(p.resets), false
}

// mine is what this process may take: no more than its share of the quota, as others may not have begun theirs; and
// where less is left than the shares of all explain, its share of that, as somebody else uses the quota, too. Or the
// others are ahead, and leave its share: so it asks on, one request at a time, while that is left.
func (p *pace) mine() int64 {
	limit, flying := float64(p.limit), float64(p.flying)
	own := math.Floor(limit*p.share) - float64(p.used)
	left := float64(p.least) - flying
	if explained := limit - (float64(p.used)+flying+1)/p.share; float64(p.least) < explained {
		alone := 0.0
		if left >= own {
			alone = 1 - flying
		}
		left = max(math.Floor(float64(p.least)*p.share)-flying, alone)
	}
	return int64(min(left, own))
}

// rests is how long no request may be made, because the quota is used up.
func (p *pace) rests() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.known || p.assumed || p.left > 0 {
		return 0
	}
	return max(0, time.Until(p.resets))
}

// wake has those who wait look again.
func (p *pace) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// leave is called when a request that entered has ended.
func (p *pace) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flying--
	if p.known {
		p.left = p.mine()
	}
	p.wake()
}

// learn takes in an answer to a request that was made at a time. counts says that the quota is that of all requests.
func (p *pace) learn(asked time.Time, status int, h http.Header, counts bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		if !asked.Before(p.cut) {
			most := p.flying
			if p.most > 0 {
				most = min(most, p.most)
			}
			p.most, p.good, p.cut = max(1, most/2), 0, time.Now()
		}
	case status > 0:
		if p.good++; p.most > 0 && p.good >= p.most {
			p.most, p.good = p.most+1, 0
			p.wake()
		}
		if p.most >= unbounded {
			p.most = 0
		}
	}
	if counts {
		p.quota(h)
	}
}

// quota takes in what headers say of it. Answers may come in any order: the least of one quota counts, and the quota
// that ends last.
func (p *pace) quota(h http.Header) {
	now := time.Now()
	t, ok := quotaOf(h, answered(h), now)
	if !ok || !t.resets.After(now) {
		return
	}
	left, resets := t.left, t.resets
	const near = 2 * time.Second
	if p.limit = max(p.limit, left+1); t.limit > 0 {
		p.limit = t.limit
	}
	switch {
	case p.known && !p.assumed && resets.Before(p.resets.Add(-near)):
		return
	case p.known && !p.assumed && !resets.After(p.resets.Add(near)):
		p.least = min(p.least, left)
	case p.assumed:
		p.assumed, p.resets, p.least = false, resets, left
	default:
		p.used = int64(p.flying)
		p.known, p.assumed, p.resets, p.least = true, false, resets, left
	}
	p.left = p.mine()
	p.wake()
}
