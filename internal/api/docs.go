package api

import (
	"embed"
	"io/fs"
	"net/http"

	"github.com/labstack/echo/v4"
)

//go:embed docs
var docFiles embed.FS

// The page runs only what is served here. Swagger UI draws its icons from data
// URLs and sets style attributes.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// docs serves the documentation from files within the program.
func docs(e *echo.Echo) {
	files := echo.MustSubFS(docFiles, "docs")
	e.GET("/docs", func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderContentSecurityPolicy, docsPolicy)
		page, err := fs.ReadFile(files, "index.html")
		if err != nil {
			return err
		}
		return c.HTMLBlob(http.StatusOK, page)
	})
	for _, name := range []string{"swagger-ui-bundle.js", "swagger-ui.css", "page.js", "page.css"} {
		e.GET("/docs/"+name, func(c echo.Context) error {
			c.Response().Header().Set(echo.HeaderCacheControl, "public, max-age=3600")
			return echo.StaticFileHandler(name, files)(c)
		})
	}
}
