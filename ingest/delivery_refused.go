package ingest

import (
	"net/http"
	"sync"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
)

// refusedDeliveries tells of deliveries that were refused: the first for each reason at once, then at most one line a
// minute, with the count. It may be used concurrently.
type refusedDeliveries struct {
	in   *Ingest
	path string

	mu    sync.Mutex
	kinds map[string]*refusedKind
}

type refusedKind struct {
	count  int
	logged time.Time
}

func newRefusedDeliveries(in *Ingest, path string) *refusedDeliveries {
	return &refusedDeliveries{in: in, path: path, kinds: map[string]*refusedKind{}}
}

// toldEvery is the time between two lines of one reason.
const toldEvery = time.Minute

func (r *refusedDeliveries) add(err *refusal) {
	r.in.metrics.refusedDeliveries.WithLabelValues(r.path, err.why).Inc()
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.kinds[err.why]
	if k == nil {
		k = &refusedKind{}
		r.kinds[err.why] = k
	}
	k.count++
	if now := time.Now(); now.Sub(k.logged) >= toldEvery {
		k.logged = now
		if err.status == http.StatusOK {
			r.in.env.Log.Info("webhook deliveries that are of no stream", "path", r.path, "err", err, "count", k.count)
			return
		}
		r.in.env.Log.Warn("webhook deliveries refused", "path", r.path, "status", err.status, "why", err.why, "err", stage.Cause(err), "count", k.count)
	}
}
