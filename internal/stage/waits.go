package stage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// quiet is how long a wait that was logged is not logged again, so that a server that comes and goes does not fill the
// log.
const quiet = time.Minute

// healthNames is how many of those that wait are named in health; the others are counted.
const healthNames = 5

// Waits is what the goroutines of one stage wait for. It tells health, and the log: once when a wait for a server
// begins, once when its cause changes, once when the last that waited for it goes on. It may be used concurrently.
type Waits struct {
	stage string
	env   Env

	mu      sync.Mutex
	waiting map[wait]string  // the last error of each
	servers map[string]*told // by server
	now     func() time.Time // time.Now, but in tests
}

// wait names one who waits for a server. Who may be empty: the stage as a whole.
type wait struct{ server, who string }

// told is what the log holds about a server.
type told struct {
	logged map[string]time.Time // when each cause was last logged
	open   bool                 // a wait was logged, and its end was not
}

// NewWaits returns the waits of the stage of that name, which is its name in health too.
func NewWaits(stage string, env Env) *Waits {
	return &Waits{stage: stage, env: env, waiting: map[wait]string{}, servers: map[string]*told{}, now: time.Now}
}

// On notes that who waits for server ("Kafka", "MySQL", the name of an API) because of err, and retries.
func (w *Waits) On(server, who string, err error) {
	err = withoutGuess(err)
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.servers[server]
	if t == nil {
		t = &told{logged: map[string]time.Time{}}
		w.servers[server] = t
	}
	cause, now := Cause(err), w.now()
	if last, ok := t.logged[cause]; !ok || now.Sub(last) >= quiet && !w.has(server) {
		attrs := []any{"err", err}
		if who != "" {
			attrs = []any{"who", who, "err", err}
		}
		w.env.Log.Warn("waiting for "+server, attrs...)
		t.open = true
		t.logged[cause] = now
	}
	w.waiting[wait{server, who}] = err.Error()
	w.tell()
}

// withoutGuess takes out what the client guesses of a broker that closes a new connection. Our dialer asks such a
// broker for what it wants, and that is another error; of any other it says only that it went away.
func withoutGuess(err error) error {
	guess, ok := errors.AsType[*kgo.ErrFirstReadEOF](err)
	if !ok {
		return err
	}
	return &plainError{strings.ReplaceAll(err.Error(), guess.Error(), "the broker closed the connection"), err}
}

type plainError struct {
	text string
	err  error
}

func (e *plainError) Error() string { return e.text }

func (e *plainError) Unwrap() error { return e.err }

// Done notes that who no longer waits for server. It may be called for one that never waited.
func (w *Waits) Done(server, who string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.waiting[wait{server, who}]; !ok {
		return
	}
	delete(w.waiting, wait{server, who})
	if t := w.servers[server]; !w.has(server) && t.open {
		w.env.Log.Info("no longer waiting for " + server)
		t.open = false
		for cause, at := range t.logged {
			if w.now().Sub(at) >= quiet {
				delete(t.logged, cause)
			}
		}
	}
	w.tell()
}

// Drop forgets all waits of who, without a word: it ends, and will not go on.
func (w *Waits) Drop(who string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for x := range w.waiting {
		if x.who == who {
			delete(w.waiting, x)
		}
	}
	w.tell()
}

// has reports whether anybody waits for server.
func (w *Waits) has(server string) bool {
	for x := range w.waiting {
		if x.server == server {
			return true
		}
	}
	return false
}

func (w *Waits) tell() {
	if len(w.waiting) == 0 {
		w.env.Health.Ready(w.stage)
		return
	}
	all := make([]string, 0, len(w.waiting))
	for x, what := range w.waiting {
		if x.who != "" {
			what = x.who + ": " + what
		}
		all = append(all, x.server+": "+what)
	}
	slices.Sort(all)
	if more := len(all) - healthNames; more > 0 {
		all = append(all[:healthNames], fmt.Sprintf("and %d more", more))
	}
	w.env.Health.Wait(w.stage, strings.Join(all, "; "))
}

// Cause is the text of the innermost error that err wraps: what stays equal from one attempt to the next.
func Cause(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}
