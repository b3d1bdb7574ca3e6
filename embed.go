// Package beckon carries the files of this repository that the program needs
// at run time.
package beckon

import "embed"

// Migrations holds the schema of both engines: migrations/postgres and
// migrations/sqlite.
//
//go:embed migrations
var Migrations embed.FS

// OpenAPI is the specification of the HTTP API, as YAML.
//
//go:embed openapi.yaml
var OpenAPI string

// Templates holds the pages that people see who follow a link.
//
//go:embed templates
var Templates embed.FS
