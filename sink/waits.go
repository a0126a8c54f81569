package sink

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/millrace-io/millrace/internal/stage"
)

// waits is what the sink is waiting for. It tells health, and the log when it changes.
type waits struct {
	env stage.Env
	mu  sync.Mutex
	why map[string]string // by server
}

// on says that server does not answer, or what it answered.
func (w *waits) on(server string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.why == nil {
		w.why = map[string]string{}
	}
	if _, logged := w.why[server]; !logged {
		w.env.Log.Warn("waiting for "+server, "err", err)
	}
	w.why[server] = err.Error()
	w.tell()
}

// done says that server is there.
func (w *waits) done(server string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.why[server]; !ok {
		return
	}
	delete(w.why, server)
	w.env.Log.Info("going on: " + server + " is there")
	w.tell()
}

func (w *waits) tell() {
	if len(w.why) == 0 {
		w.env.Health.Ready(stageName)
		return
	}
	var all []string
	for _, server := range slices.Sorted(maps.Keys(w.why)) {
		all = append(all, server+": "+w.why[server])
	}
	w.env.Health.Wait(stageName, strings.Join(all, "; "))
}

func newBackoff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 50*time.Millisecond, 3*time.Second
	return b
}
