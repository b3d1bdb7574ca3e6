package api

import (
	"strconv"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// What follows reads parameters that the request check has found to be right.

func idOf(c echo.Context) uuid.UUID {
	id, _ := uuid.Parse(c.Param("id"))
	return id
}

// paging is what every list can be asked for.
type paging struct {
	cursor *string
	limit  *int
}

func pageOf(c echo.Context) (p paging) {
	if text := c.QueryParam("cursor"); text != "" {
		p.cursor = &text
	}
	if n, err := strconv.Atoi(c.QueryParam("limit")); err == nil {
		p.limit = &n
	}
	return p
}
