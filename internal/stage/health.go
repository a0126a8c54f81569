package stage

import (
	"maps"
	"sync"
)

// Health is what a process tells on /readyz. It may be used concurrently.
type Health struct {
	Hide func(string) string // hides secrets in what is told; nil: nothing is hidden. Set before the first use

	mu       sync.Mutex
	waiting  map[string]string
	degraded map[string]string
}

// Wait notes that who (for example "sink") waits, and for what: the server and its last answer. The process is not
// ready until Ready has been called for each who that waits.
func (h *Health) Wait(who, what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting == nil {
		h.waiting = map[string]string{}
	}
	h.waiting[who] = h.hide(what)
}

func (h *Health) hide(text string) string {
	if h.Hide == nil {
		return text
	}
	return h.Hide(text)
}

// Ready notes that who no longer waits.
func (h *Health) Ready(who string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.waiting, who)
}

// Waiting returns a copy of what is waited for, by who waits. An empty map means ready.
func (h *Health) Waiting() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make(map[string]string, len(h.waiting))
	maps.Copy(out, h.waiting)
	return out
}

// Degrade notes what a person should look at although the process is ready: who (for example "sink orders") and what.
// It replaces what was noted before of the same who.
func (h *Health) Degrade(who, what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.degraded == nil {
		h.degraded = map[string]string{}
	}
	h.degraded[who] = h.hide(what)
}

// Restore notes that there is nothing more to look at of who.
func (h *Health) Restore(who string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.degraded, who)
}

// Degraded returns a copy of what a person should look at, by who.
func (h *Health) Degraded() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.degraded)
}
