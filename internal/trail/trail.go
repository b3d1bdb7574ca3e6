// Package trail carries ids through a context into every log line: the request
// or the job that a line belongs to.
package trail

import (
	"context"
	"log/slog"
)

type key struct{}

// With returns a context whose log lines carry the given attributes, after
// those it carries already.
func With(ctx context.Context, attrs ...slog.Attr) context.Context {
	old := attrsOf(ctx)
	return context.WithValue(ctx, key{}, append(old[:len(old):len(old)], attrs...))
}

func attrsOf(ctx context.Context) []slog.Attr {
	attrs, _ := ctx.Value(key{}).([]slog.Attr)
	return attrs
}

// Handler wraps h so that lines logged with a context carry its attributes.
func Handler(h slog.Handler) slog.Handler { return handler{h} }

type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if attrs := attrsOf(ctx); len(attrs) > 0 {
		r = r.Clone()
		r.AddAttrs(attrs...)
	}
	return h.Handler.Handle(ctx, r)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }
