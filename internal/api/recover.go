package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/labstack/echo/v4"
)

// recoverPanics turns a panic of a handler into an internal error. Its value is
// not written down, for it may quote data; the stack is.
func recoverPanics(log *slog.Logger) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) (err error) {
			defer func() {
				r := recover()
				if r == nil {
					return
				}
				if e, ok := r.(error); ok && errors.Is(e, http.ErrAbortHandler) {
					panic(r)
				}
				log.ErrorContext(c.Request().Context(), "panic", "type", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
				err = errors.New("a handler panicked")
			}()
			return next(c)
		}
	}
}
