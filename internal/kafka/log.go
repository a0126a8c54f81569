package kafka

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kslog"
)

// repeatAfter is how long the same line of a client is held back: a broker that is down is worth a
// line, not one for each attempt of each client.
const repeatAfter = 30 * time.Second

// newLogger passes on a client's warnings and errors, and with the level debug everything.
func newLogger(log *slog.Logger) kgo.Logger {
	return kslog.New(slog.New(&quiet{Handler: log.Handler(), passed: &passed{at: map[string]*passage{}}}))
}

// quiet is a handler that lowers a client's chatter by a level and drops repetitions.
type quiet struct {
	slog.Handler
	passed *passed
}

// passed is the lines that were passed on.
type passed struct {
	mu sync.Mutex
	at map[string]*passage // by message
}

type passage struct {
	last time.Time
	held int // since then
}

// Enabled leaves out what is below a warning, unless debug is on.
func (q *quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, level) && (level >= slog.LevelWarn || q.Handler.Enabled(ctx, slog.LevelDebug))
}

// Handle passes r on if its message was not passed on within repeatAfter, with how often it was held back; and with the
// level debug in any case.
func (q *quiet) Handle(ctx context.Context, r slog.Record) error {
	if q.Handler.Enabled(ctx, slog.LevelDebug) {
		return q.Handler.Handle(ctx, r)
	}
	if ofNoUse(&r) {
		return nil
	}
	r = withoutGuess(r)
	held, again := q.passed.again(r.Message)
	if again {
		return nil
	}
	if held > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("repeated", held))
	}
	return q.Handler.Handle(ctx, r)
}

// guess is what the client adds to every first answer that does not come. Only a connection that the broker closes
// speaks for it.
const guess = " (is SASL missing?)"

// withoutGuess takes the guess out where it is none: the broker was silent.
func withoutGuess(r slog.Record) slog.Record {
	message, guessed := strings.CutSuffix(r.Message, guess)
	if !guessed {
		return r
	}
	closed := false
	r.Attrs(func(a slog.Attr) bool {
		err, ok := a.Value.Any().(error)
		closed = closed || ok && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF))
		return true
	})
	if closed {
		return r
	}
	r = r.Clone()
	r.Message = message
	return r
}

// ofNoUse reports whether a client warns of what passes by itself, or of what was meant: the stage that waits for the
// brokers says so, once, and what a client cannot do without them it retries. Its guess at TLS is in
// the error that the stage tells; its guess at SASL is not always.
func ofNoUse(r *slog.Record) bool {
	var err error
	r.Attrs(func(a slog.Attr) bool {
		err, _ = a.Value.Any().(error)
		return err == nil
	})
	if strings.HasSuffix(r.Message, guess) {
		return unfit(err)
	}
	for _, begin := range []string{
		"received an OffsetCommitResponse after our group session has ended", // ingest asks so whether it is a member
		"leaving group as a static member",                                   // the processor leaves by another request
		"metadata has a new ID for a topic we already hold",                  // each stage tells it, and begins again
		"abandoning ",
	} {
		if strings.HasPrefix(r.Message, begin) {
			return true
		}
	}
	return err != nil && (transient(err) || fenced(err) || unfit(err))
}

// unfit reports whether the pipeline file and a listener do not fit: whoever asks the brokers for something is told,
// with what to correct.
func unfit(err error) bool {
	_, ok := errors.AsType[*SetupError](err)
	return ok
}

// fenced reports whether another client has taken a place over. Its stage tells it: a command or a process that takes
// over is meant, and of two processes with one instance the processor says the remedy.
func fenced(err error) bool {
	for _, place := range []error{kerr.FencedInstanceID, kerr.ProducerFenced, kerr.InvalidProducerEpoch} {
		if errors.Is(err, place) {
			return true
		}
	}
	return false
}

// transient reports whether an error of a client passes by itself.
func transient(err error) bool {
	if kerr.IsRetriable(err) || kgo.IsRetryableBrokerErr(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kgo.ErrClientClosed) {
		return true
	}
	for _, group := range []error{kerr.RebalanceInProgress, kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.UnstableOffsetCommit} {
		if errors.Is(err, group) { // the client joins again
			return true
		}
	}
	_, network := errors.AsType[net.Error](err)
	return network
}

// again reports whether message was passed on within repeatAfter; if not, how often it has been held back since it was.
func (s *passed) again(message string) (held int, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	old := s.at[message]
	if old != nil && now.Sub(old.last) < repeatAfter {
		old.held++
		return 0, true
	}
	if old != nil {
		held = old.held
	}
	s.at[message] = &passage{last: now}
	return held, false
}

// WithAttrs keeps the repetitions shared.
func (q *quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &quiet{q.Handler.WithAttrs(attrs), q.passed}
}

// WithGroup keeps the repetitions shared.
func (q *quiet) WithGroup(name string) slog.Handler {
	return &quiet{q.Handler.WithGroup(name), q.passed}
}
