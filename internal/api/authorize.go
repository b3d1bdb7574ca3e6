package api

import (
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"beckon/internal/fault"
)

// authorize lets in who has a key with a scope that the specification asks for.
// It is the only place where that is decided.
func authorize(contract *Contract, keys *Keys) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			op := contract.find(c)
			if op == nil && strings.HasPrefix(c.Path(), "/v1/") && c.Get(echo.ContextKeyHeaderAllow) == nil {
				return echo.ErrNotFound // routed by mistake: what is not specified is closed
			}
			if op == nil || op.open {
				return next(c)
			}
			key, err := keys.Find(c.Request().Context(), bearer(c))
			if err != nil {
				return err
			}
			c.Set(callerKey, key)
			if !slices.ContainsFunc(op.scopes, key.Allows) {
				return fault.New(fault.Forbidden, "scope_missing", "The key lacks the scope %s.", op.scopes[0])
			}
			return next(c)
		}
	}
}

// bearer returns the key that the request carries, or "".
func bearer(c echo.Context) string {
	scheme, secret, _ := strings.Cut(c.Request().Header.Get(echo.HeaderAuthorization), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(secret)
}
