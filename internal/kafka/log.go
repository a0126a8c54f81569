package kafka

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kslog"
)

// repeatAfter is how long the same line of a client is held back: a broker that is down is worth a
// line, not one for each attempt of each client.
const repeatAfter = 30 * time.Second

// newLogger passes on a client's warnings and errors, and with the level debug everything.
func newLogger(log *slog.Logger) kgo.Logger {
	return kslog.New(slog.New(&quiet{Handler: log.Handler(), said: &said{at: map[string]time.Time{}}}))
}

// quiet is a handler that lowers a client's chatter by a level and drops repetitions.
type quiet struct {
	slog.Handler
	said *said
}

type said struct {
	mu sync.Mutex
	at map[string]time.Time // by message
}

// Enabled leaves out what is below a warning, unless debug is on.
func (q *quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, level) && (level >= slog.LevelWarn || q.Handler.Enabled(ctx, slog.LevelDebug))
}

// Handle passes r on if it was not said within repeatAfter.
func (q *quiet) Handle(ctx context.Context, r slog.Record) error {
	q.said.mu.Lock()
	last, ok := q.said.at[r.Message]
	now := time.Now()
	repeated := ok && now.Sub(last) < repeatAfter
	if !repeated {
		q.said.at[r.Message] = now
	}
	q.said.mu.Unlock()
	if repeated {
		return nil
	}
	return q.Handler.Handle(ctx, r)
}

// WithAttrs keeps the repetitions shared.
func (q *quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &quiet{q.Handler.WithAttrs(attrs), q.said}
}

// WithGroup keeps the repetitions shared.
func (q *quiet) WithGroup(name string) slog.Handler {
	return &quiet{q.Handler.WithGroup(name), q.said}
}
