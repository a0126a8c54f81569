package demo

import (
	"context"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Log is where the stages log to while a terminal is drawn on: a file. The stages' warnings and errors
// it keeps, to be shown beside the counts. It may be used concurrently.
type Log struct {
	file *os.File

	mu      sync.Mutex
	notices []string // warnings and errors that Notices has not returned
	last    string
	at      time.Time // of last
}

// NewLog returns a log to file, which the caller closes.
func NewLog(file *os.File) *Log { return &Log{file: file} }

// Name is the file's name.
func (l *Log) Name() string { return l.file.Name() }

// Logger returns a logger to l.
func (l *Log) Logger() *slog.Logger {
	return slog.New(&handler{Handler: slog.NewTextHandler(io.Writer(l.file), nil), log: l})
}

const maxNotices = 100

func (l *Log) note(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.at = text, time.Now()
	if len(l.notices) < maxNotices {
		l.notices = append(l.notices, text)
	}
}

// Notices returns the warnings and errors since the last call, at most 100.
func (l *Log) Notices() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	notices := l.notices
	l.notices = nil
	return notices
}

// Last returns the last warning or error, if it is not older than that.
func (l *Log) Last(age time.Duration) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) > age {
		return ""
	}
	return l.last
}

// handler passes records on, and notes warnings and errors in one line.
type handler struct {
	slog.Handler
	log   *Log
	stage string
	err   string
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn && !fromClient(r.PC) {
		with := *h
		r.Attrs(func(a slog.Attr) bool { with.keep(a); return true })
		text := oneLine(r.Message)
		if with.err != "" {
			text += ": " + oneLine(with.err)
		}
		if with.stage != "" {
			text = with.stage + ": " + text
		}
		h.log.note(text)
	}
	return h.Handler.Handle(ctx, r)
}

// fromClient says that a Kafka client logs. It warns of what it retries itself; what ends a retry, a stage logs too.
func fromClient(pc uintptr) bool {
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	return strings.HasPrefix(frame.Function, "github.com/twmb/franz-go/")
}

// keep keeps the attributes that a notice shows.
func (h *handler) keep(a slog.Attr) {
	switch a.Key {
	case "stage":
		h.stage = a.Value.String()
	case "err":
		h.err = a.Value.String()
	}
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.Handler = h.Handler.WithAttrs(slices.Clone(attrs))
	for _, a := range attrs {
		with.keep(a)
	}
	return &with
}

func (h *handler) WithGroup(name string) slog.Handler {
	with := *h
	with.Handler = h.Handler.WithGroup(name)
	return &with
}
