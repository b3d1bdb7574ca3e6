// Package api is the HTTP face of Beckon: it holds every request to
// openapi.yaml, lets in who has a key, and turns errors into problem documents.
package api

//go:generate go tool oapi-codegen -config oapi-codegen.yaml ../../openapi.yaml
