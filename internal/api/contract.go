package api

import (
	"context"
	"fmt"
	"mime"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"beckon/internal/fault"
)

// bodyKind says who reads the body of an operation.
type bodyKind string

const (
	bodyNone   bodyKind = ""       // the operation takes none
	bodyJSON   bodyKind = "json"   // read, checked and kept here
	bodyRaw    bodyKind = "raw"    // left to the handler as it comes
	bodyStream bodyKind = "stream" // the same, and as large as an import may be
)

// operation is what the middleware must know of one operation of the
// specification.
type operation struct {
	id     string
	scopes []Scope // one of them is needed; none: open to all
	open   bool    // anybody may call it
	body   bodyKind
	types  []string // content types taken
	schema *openapi3.Schema
	params openapi3.Parameters
}

// takes reports whether the operation declares the header parameter.
func (o *operation) takes(header string) bool {
	return o.params.GetByInAndName(openapi3.ParameterInHeader, header) != nil
}

// Contract is the specification, ready to check requests against. It is safe
// for use by many goroutines.
type Contract struct {
	text       []byte // as it was written
	doc        *openapi3.T
	operations map[string]*operation // by method and Echo route
	options    []openapi3.SchemaValidationOption
}

// NewContract reads a specification in YAML and checks that it is sound, its
// examples included.
func NewContract(spec string) (*Contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData([]byte(spec))
	if err != nil {
		return nil, fmt.Errorf("read the specification: %w", err)
	}
	doc.SetStringFormatValidators(formats())
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("check the specification: %w", err)
	}
	c := &Contract{text: []byte(spec), doc: doc, operations: map[string]*operation{}, options: []openapi3.SchemaValidationOption{
		openapi3.MultiErrors(),
		openapi3.DisableSchemaErrorDetails(),
		openapi3.WithStringFormatValidators(formats()),
	}}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			c.operations[method+" "+echoPath(path)] = c.operation(item, op)
		}
	}
	return c, nil
}

// echoPath turns /v1/pages/{id} into /v1/pages/:id.
func echoPath(path string) string {
	return regexp.MustCompile(`\{([^}]+)\}`).ReplaceAllString(path, ":$1")
}

func (c *Contract) operation(item *openapi3.PathItem, op *openapi3.Operation) *operation {
	o := &operation{id: op.OperationID, params: slices.Concat(op.Parameters, item.Parameters)}
	o.scopes, o.open = c.scopes(op)
	kind, _ := op.Extensions["x-body"].(string)
	o.body = bodyKind(kind)
	if op.RequestBody == nil {
		return o
	}
	content := op.RequestBody.Value.Content
	for _, mediaType := range slices.Sorted(keysOf(content)) {
		o.types = append(o.types, mediaType)
		if o.body == bodyNone || o.body == bodyJSON {
			o.body, o.schema = bodyJSON, content[mediaType].Schema.Value
		}
	}
	return o
}

func (c *Contract) scopes(op *openapi3.Operation) (scopes []Scope, open bool) {
	requirements := c.doc.Security
	if op.Security != nil {
		requirements = *op.Security
	}
	for _, r := range requirements {
		for _, names := range r {
			for _, name := range names {
				scopes = append(scopes, Scope(name))
			}
		}
	}
	return scopes, len(requirements) == 0
}

// find returns the operation that the request was routed to, or nil.
func (c *Contract) find(ec echo.Context) *operation {
	return c.operations[ec.Request().Method+" "+ec.Path()]
}

// Check holds a JSON value against a named schema of the specification, as if
// it were the body of a request: for the lines of an import. The error is a
// *fault.Error that names every field.
func (c *Contract) Check(schema string, data []byte) error {
	value, err := parseJSON(data)
	if err != nil {
		return err
	}
	ref := c.doc.Components.Schemas[schema]
	if ref == nil {
		return fmt.Errorf("the specification has no schema %q", schema)
	}
	return fault.InvalidFields(c.check(ref.Value, value)...)
}

// accepts reports whether one of the content types taken fits the header.
func (o *operation) accepts(header string) bool {
	mediaType, _, err := mime.ParseMediaType(header)
	if slices.Contains(o.types, "*/*") {
		return true
	}
	return err == nil && slices.Contains(o.types, strings.ToLower(mediaType))
}
