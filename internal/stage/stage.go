// Package stage is what the three stages are given by the program that runs them, and what they
// tell it in turn.
package stage

import (
	"log/slog"
	"maps"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Env is what a stage is given. A zero field is not allowed, except where it says so.
type Env struct {
	Instance string                // stable name of this process among its like on all hosts, for transactional ids
	Streams  []string              // names of the streams to run; nil: all
	Kafka    []kgo.Opt             // how to reach the brokers: seeds, TLS, SASL, logger, client id
	Log      *slog.Logger          // with the attribute stage set
	Metrics  prometheus.Registerer //
	Health   *Health               //
}

// Health is what a process says of itself on /readyz. It may be used concurrently.
type Health struct {
	mu      sync.Mutex
	waiting map[string]string
}

// Wait says that part (for example "sink") waits for something: what, and what the last attempt answered.
// The process is not ready until Ready is called for every part that waits.
func (h *Health) Wait(part, what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting == nil {
		h.waiting = map[string]string{}
	}
	h.waiting[part] = what
}

// Ready says that part no longer waits.
func (h *Health) Ready(part string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.waiting, part)
}

// Waiting returns a copy of what is being waited for, by part; empty: ready.
func (h *Health) Waiting() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make(map[string]string, len(h.waiting))
	maps.Copy(out, h.waiting)
	return out
}
