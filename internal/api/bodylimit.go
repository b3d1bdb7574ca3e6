package api

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// maxBody bounds every body but that of an import.
const maxBody = 1 << 20

// limitBodies refuses bodies that are too large: at once when they say so,
// else when the limit is reached while reading.
func limitBodies(contract *Contract, importLimit int64) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			limit := int64(maxBody)
			if op := contract.find(c); op != nil && op.body == bodyStream {
				limit = importLimit
			}
			req := c.Request()
			if req.ContentLength > limit {
				return errTooLarge(limit)
			}
			req.Body = http.MaxBytesReader(c.Response(), req.Body, limit)
			return next(c)
		}
	}
}
