package api

import (
	"bytes"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"beckon/internal/fault"
)

// validate holds the parameters and the JSON body of a request against the
// specification and names every field that is wrong.
func validate(contract *Contract) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			op := contract.find(c)
			if op == nil || op.body == bodyRaw {
				return next(c)
			}
			fields, err := contract.checkParams(op, c)
			if err != nil {
				return err
			}
			wrong, err := contract.checkBody(op, c)
			if err != nil {
				return err
			}
			if err := fault.InvalidFields(append(fields, wrong...)...); err != nil {
				return err
			}
			return next(c)
		}
	}
}

// checkBody reads the body and keeps it for the handler and for idempotency.
func (c *Contract) checkBody(op *operation, ec echo.Context) ([]fault.Field, error) {
	if op.body != bodyJSON {
		return nil, nil
	}
	data, err := io.ReadAll(ec.Request().Body)
	if err != nil {
		return nil, readError(err)
	}
	value, err := parseJSON(data)
	if err != nil {
		return nil, err
	}
	ec.Set(bodyKey, data)
	ec.Request().Body = io.NopCloser(bytes.NewReader(data))
	return c.check(op.schema, value), nil
}

// readError tells a body that is too large from one that broke off.
func readError(err error) error {
	if p := problemOf(err); p.Code == "too_large" {
		return err
	}
	return malformed("The body broke off.").Because(err)
}

func (c *Contract) checkParams(op *operation, ec echo.Context) ([]fault.Field, error) {
	query, err := url.ParseQuery(ec.Request().URL.RawQuery)
	if err != nil {
		return nil, malformed("The query cannot be read.")
	}
	fields := unknownParams(op, query)
	for _, ref := range op.params {
		p := ref.Value
		values, err := paramValues(p, ec, query)
		if err != nil {
			return nil, err
		}
		fields = append(fields, c.checkParam(p, values)...)
	}
	return fields, nil
}

func paramValues(p *openapi3.Parameter, ec echo.Context, query url.Values) ([]string, error) {
	var values []string
	switch p.In {
	case openapi3.ParameterInQuery:
		values = query[p.Name]
	case openapi3.ParameterInHeader:
		values = ec.Request().Header.Values(p.Name)
	case openapi3.ParameterInPath:
		v, err := pathValue(ec, p.Name)
		if err != nil {
			return nil, malformed("The path cannot be read.")
		}
		values = []string{v}
	}
	for _, v := range values {
		if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
			return nil, malformed("A parameter is not UTF-8 or holds a NUL character.")
		}
	}
	return values, nil
}

// pathValue unescapes only what Echo has left escaped.
func pathValue(ec echo.Context, name string) (string, error) {
	if ec.Request().URL.RawPath == "" {
		return ec.Param(name), nil
	}
	return url.PathUnescape(ec.Param(name))
}

func unknownParams(op *operation, query url.Values) []fault.Field {
	var fields []fault.Field
	for _, name := range slices.Sorted(keysOf(query)) {
		if op.params.GetByInAndName(openapi3.ParameterInQuery, name) == nil {
			fields = append(fields, fault.Field{Pointer: pointer("query", name), Code: codeUnknown, Detail: "There is no such parameter."})
		}
	}
	return fields
}

func (c *Contract) checkParam(p *openapi3.Parameter, values []string) []fault.Field {
	at, schema := pointer(p.In, p.Name), p.Schema.Value
	switch {
	case len(values) == 0 && p.Required:
		return []fault.Field{{Pointer: at, Code: codeRequired, Detail: detailOf(codeRequired, schema)}}
	case len(values) == 0:
		return nil
	case len(values) > 1:
		return []fault.Field{{Pointer: at, Code: codeNotUnique, Detail: "Must stand only once."}}
	}
	value, ok := paramValue(schema, values[0])
	if !ok {
		return []fault.Field{{Pointer: at, Code: codeType, Detail: detailOf(codeType, schema)}}
	}
	fields := c.check(schema, value)
	for i := range fields {
		fields[i].Pointer = at
	}
	return fields
}

func paramValue(schema *openapi3.Schema, text string) (any, bool) {
	switch {
	case schema.Type.Is("integer"):
		_, err := strconv.ParseInt(text, 10, 64)
		return json.Number(text), err == nil
	case schema.Type.Is("boolean"):
		return text == "true", text == "true" || text == "false"
	}
	return text, true
}
