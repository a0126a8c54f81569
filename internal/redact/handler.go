package redact

import (
	"context"
	"fmt"
	"log/slog"
)

// Handler returns a handler that passes everything on to h without the secrets.
func (s *Secrets) Handler(h slog.Handler) slog.Handler {
	if s == nil || s.long == nil && s.short == nil {
		return h
	}
	return &handler{Handler: h, secrets: s}
}

type handler struct {
	slog.Handler

	secrets *Secrets
}

// Handle passes r on without the secrets.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, h.secrets.Text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.attr(a))
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

// WithAttrs keeps hiding.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = h.attr(a)
	}
	return &handler{h.Handler.WithAttrs(clean), h.secrets}
}

// WithGroup keeps hiding.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.Handler.WithGroup(name), h.secrets}
}

func (h *handler) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() { //nolint:exhaustive // the others are numbers and times
	case slog.KindString:
		v = slog.StringValue(h.secrets.Text(v.String()))
	case slog.KindGroup:
		group := make([]slog.Attr, 0, len(v.Group()))
		for _, of := range v.Group() {
			group = append(group, h.attr(of))
		}
		v = slog.GroupValue(group...)
	case slog.KindAny:
		if v.Any() == nil {
			break
		}
		text := fmt.Sprint(v.Any())
		if clean := h.secrets.Text(text); clean != text {
			v = slog.StringValue(clean)
		}
	}
	return slog.Attr{Key: a.Key, Value: v}
}
