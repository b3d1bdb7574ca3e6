package api

import (
	"log/slog"
	"regexp"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"beckon/internal/trail"
)

// Names under which middleware keeps things in Echo's context.
const (
	requestIDKey = "request_id"
	callerKey    = "caller"
	bodyKey      = "body"
	problemCode  = "problem_code"
)

// requestIDs gives each request an id, the caller's own if it is sane, and puts
// it into the answer and into every log line.
func requestIDs() echo.MiddlewareFunc {
	sane := regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			id := c.Request().Header.Get(echo.HeaderXRequestID)
			if !sane.MatchString(id) {
				id = newID().String()
			}
			c.Set(requestIDKey, id)
			c.Response().Header().Set(echo.HeaderXRequestID, id)
			ctx := trail.With(c.Request().Context(), slog.String("request_id", id))
			c.SetRequest(c.Request().WithContext(ctx))
			return next(c)
		}
	}
}

func requestID(c echo.Context) string {
	id, _ := c.Get(requestIDKey).(string)
	return id
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
