package api

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// accessLog writes one line for each request: the route's pattern and never
// the path or the query, which may hold addresses and codes. What comes in by
// the thousand is told at debug when nothing was wrong. An error has been
// answered when it returns; if it came amid the answer, the connection is
// broken off so that nobody takes a part for the whole.
func accessLog(log *slog.Logger) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			err := next(c)
			late := err != nil && c.Response().Committed
			if err != nil {
				c.Error(err)
			}
			log.LogAttrs(c.Request().Context(), accessLevel(c), "request", accessAttrs(c, time.Since(start))...)
			if late {
				panic(http.ErrAbortHandler)
			}
			return nil
		}
	}
}

// accessLevel keeps a campaign of a million people, with its callbacks and
// clicks, and the probes of an orchestrator from filling the log.
func accessLevel(c echo.Context) slog.Level {
	route := c.Path()
	many := strings.HasPrefix(route, "/webhooks/") || route == "/l/:code" || route == "/healthz" || route == "/readyz"
	if many && c.Response().Status < http.StatusBadRequest {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

func accessAttrs(c echo.Context, took time.Duration) []slog.Attr {
	attrs := []slog.Attr{
		slog.String("method", c.Request().Method),
		slog.String("route", c.Path()),
		slog.Int("status", c.Response().Status),
		slog.Duration("took", took),
	}
	if key, ok := c.Get(callerKey).(Key); ok {
		attrs = append(attrs, slog.String("key_id", key.ID.String()))
	}
	if code, ok := c.Get(problemCode).(string); ok {
		attrs = append(attrs, slog.String("code", code))
	}
	return attrs
}
