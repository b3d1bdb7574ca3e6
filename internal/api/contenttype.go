package api

import (
	"strings"

	"github.com/labstack/echo/v4"

	"beckon/internal/fault"
)

// contentTypes refuses bodies of a content type that the operation does not take.
func contentTypes(contract *Contract) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			op := contract.find(c)
			if op == nil || len(op.types) == 0 || op.accepts(c.Request().Header.Get(echo.HeaderContentType)) {
				return next(c)
			}
			return fault.New(fault.Unsupported, "unsupported_media_type", "Send %s.", strings.Join(op.types, " or "))
		}
	}
}
