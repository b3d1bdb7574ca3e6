package api

import (
	"strings"

	"github.com/labstack/echo/v4"
)

// exactPaths undoes a habit of Echo: a parameter at the end of a route also
// takes the slashes that follow, and would answer for addresses that do not exist.
func exactPaths() echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if c.Path() != "" && strings.Count(c.Path(), "/") != strings.Count(echo.GetPath(c.Request()), "/") {
				return echo.ErrNotFound
			}
			return next(c)
		}
	}
}
