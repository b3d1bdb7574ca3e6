package api

import (
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"beckon/internal/db"
	"beckon/internal/fault"
)

// NewHealth returns a handler that tells how the program is and serves nothing
// else: the face of a node that only works jobs. Waiting is as in Parts.
func NewHealth(d *db.DB, log *slog.Logger, waiting func() string) http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = problems(log)
	e.Use(requestIDs(), recoverPanics(), headers())
	probes(e, d, waiting)
	return e
}

func probes(e *echo.Echo, d *db.DB, waiting func() string) {
	fine := func(c echo.Context) error { return c.JSONBlob(http.StatusOK, []byte(`{"status":"ok"}`)) }
	e.GET("/healthz", fine)
	e.GET("/readyz", func(c echo.Context) error {
		if err := d.Check(c.Request().Context()); db.IsFull(err) {
			return errDiskFull().Because(err)
		} else if err != nil {
			return errAway().Because(err)
		}
		if waiting != nil {
			if what := waiting(); what != "" {
				return writeProblem(c, problemFor(c, problemOf(fault.New(fault.Unavailable, "unavailable", "%s", what)))) // and no line in the log: nothing is wrong
			}
		}
		return fine(c)
	})
}
