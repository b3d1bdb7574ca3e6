package main

import (
	"io"
	"log/slog"

	"beckon/internal/trail"
)

// newLogger returns the program's logger; lines carry the ids of their request
// or job.
func newLogger(c Config, w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(trail.Handler(slog.NewJSONHandler(w, o)))
	}
	return slog.New(trail.Handler(slog.NewTextHandler(w, o)))
}
