package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"beckon/internal/api/gen"
	"beckon/internal/db"
	"beckon/internal/fault"
)

// The URN that a code is appended to in "type".
const problemType = "urn:beckon:problem:"

// standing is what a kind of fault means in HTTP.
type standing struct {
	status int
	title  string
}

func standingOf(kind fault.Kind) standing {
	switch kind {
	case fault.Malformed:
		return standing{http.StatusBadRequest, "Malformed request"}
	case fault.Unauthorized:
		return standing{http.StatusUnauthorized, "Not authorized"}
	case fault.Forbidden:
		return standing{http.StatusForbidden, "Forbidden"}
	case fault.NotFound:
		return standing{http.StatusNotFound, "Not found"}
	case fault.Conflict:
		return standing{http.StatusConflict, "Conflict"}
	case fault.TooLarge:
		return standing{http.StatusRequestEntityTooLarge, "Too large"}
	case fault.Unsupported:
		return standing{http.StatusUnsupportedMediaType, "Unsupported content type"}
	case fault.Invalid:
		return standing{http.StatusUnprocessableEntity, "Not valid"}
	case fault.TooMany:
		return standing{http.StatusTooManyRequests, "Too many requests"}
	case fault.Unavailable:
		return standing{http.StatusServiceUnavailable, "Not available"}
	}
	return standing{http.StatusInternalServerError, "Internal error"}
}

// problemOf is the one place where an error becomes what the caller sees. What
// it does not know is an internal error without detail.
func problemOf(err error) gen.Problem {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) { // whatever the reader of the body made of it
		return problemOf(errTooLarge(tooLarge.Limit))
	}
	var f *fault.Error
	if errors.As(err, &f) && f.Kind != fault.Internal {
		s := standingOf(f.Kind)
		return gen.Problem{Status: s.status, Title: s.title, Code: f.Code, Detail: f.Detail, Errors: fieldErrors(f.Fields)}
	}
	switch {
	case db.IsFull(err):
		return problemOf(errDiskFull())
	case db.IsAway(err):
		return problemOf(errAway())
	}
	var he *echo.HTTPError
	if errors.As(err, &he) && he.Code < http.StatusInternalServerError {
		return routingProblem(he)
	}
	s := standingOf(fault.Internal)
	return gen.Problem{Status: s.status, Title: s.title, Code: "internal", Detail: "Something went wrong here. It is written down under the request id."}
}

// routingProblem is for what Echo itself refuses: its messages are for
// developers and are not passed on.
func routingProblem(he *echo.HTTPError) gen.Problem {
	switch he.Code {
	case http.StatusNotFound:
		return gen.Problem{Status: he.Code, Title: "Not found", Code: "not_found", Detail: "There is nothing at this address."}
	case http.StatusMethodNotAllowed:
		return gen.Problem{Status: he.Code, Title: "Method not allowed", Code: "method_not_allowed", Detail: "The header Allow names the methods taken here."}
	}
	return problemOf(malformed("The request cannot be read."))
}

func errDiskFull() *fault.Error {
	return fault.New(fault.Unavailable, "disk_full", "The database has no room left on its disk. Nothing was changed; try again when there is room.")
}

func errAway() *fault.Error {
	return fault.New(fault.Unavailable, "database_away", "The database cannot be reached just now. Try again in a moment.")
}

func errTooLarge(limit int64) error {
	return fault.New(fault.TooLarge, "too_large", "The body is larger than %d bytes.", limit)
}

// fieldsOf returns the fields that an error names.
func fieldsOf(err error) []fault.Field {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Fields
	}
	return nil
}

func fieldErrors(fields []fault.Field) []gen.FieldError {
	var out []gen.FieldError
	for _, f := range fields {
		out = append(out, gen.FieldError{Pointer: f.Pointer, Code: f.Code, Detail: f.Detail})
	}
	return out
}

// problems answers every error of every handler, and writes down those that
// are ours.
func problems(log *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		p := problemFor(c, problemOf(err))
		if p.Status >= http.StatusInternalServerError && !gone(c) {
			log.Log(c.Request().Context(), levelOf(p.Status), "request failed", "error", err)
		}
		if c.Response().Committed {
			return
		}
		if err := writeProblem(c, p); err != nil && !gone(c) {
			log.WarnContext(c.Request().Context(), "problem not answered", "error", err)
		}
	}
}

// problemFor completes a problem by what the request knows.
func problemFor(c echo.Context, p gen.Problem) gen.Problem {
	p.Type, p.RequestID = problemType+p.Code, requestID(c)
	c.Set(problemCode, p.Code)
	return p
}

// levelOf keeps errors for what nobody expected.
func levelOf(status int) slog.Level {
	if status == http.StatusServiceUnavailable {
		return slog.LevelWarn
	}
	return slog.LevelError
}

// gone reports whether the caller has left: nobody is to blame then.
func gone(c echo.Context) bool {
	return errors.Is(c.Request().Context().Err(), context.Canceled)
}

func writeProblem(c echo.Context, p gen.Problem) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	h := c.Response().Header()
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set(echo.HeaderWWWAuthenticate, "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set(echo.HeaderRetryAfter, "5")
	}
	return c.Blob(p.Status, "application/problem+json", body)
}
