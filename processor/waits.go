package processor

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/millrace-io/millrace/internal/stage"
)

// waits is what parts of the processor are waiting for. It tells health, and the log when it changes.
type waits struct {
	env stage.Env
	mu  sync.Mutex
	why map[string]string
}

func newWaits(env stage.Env) *waits { return &waits{env: env, why: map[string]string{}} }

// on says that who cannot go on because of err, and tries again.
func (w *waits) on(who string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.why) == 0 {
		w.env.Log.Warn("waiting for Kafka", "who", who, "error", err)
	}
	w.why[who] = err.Error()
	w.tell()
}

// done says that who goes on.
func (w *waits) done(who string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.why[who]; !ok {
		return
	}
	delete(w.why, who)
	if len(w.why) == 0 {
		w.env.Log.Info("going on", "who", who)
		w.env.Health.Ready(stageName)
		return
	}
	w.tell()
}

func (w *waits) tell() {
	var all []string
	for who, what := range w.why {
		all = append(all, fmt.Sprintf("%s: %s", who, what))
	}
	slices.Sort(all)
	w.env.Health.Wait(stageName, "Kafka: "+strings.Join(all, "; "))
}
