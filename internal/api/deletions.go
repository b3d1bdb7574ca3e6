package api

import (
	"io"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"beckon/internal/api/gen"
	"beckon/internal/fault"
)

// requestDeletion serves POST /webhooks/facebook/data-deletion.
func (s *Server) requestDeletion(c echo.Context) error {
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return readError(err)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return fault.New(fault.Malformed, "malformed", "The body is not a form.")
	}
	code, err := s.Privacy.Request(c.Request().Context(), form.Get("signed_request"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, gen.DeletionTicket{URL: s.Privacy.Status(code), ConfirmationCode: code})
}

// showDeletion serves GET /deletion/{code}.
func (s *Server) showDeletion(c echo.Context) error {
	d, err := s.Privacy.ByCode(c.Request().Context(), c.Param("code"))
	if fault.Is(err, fault.NotFound) {
		return s.leaf(c, http.StatusNotFound, "unknown.html", nil)
	}
	if err != nil {
		return err
	}
	return s.leaf(c, http.StatusOK, "deletion.html", d)
}
