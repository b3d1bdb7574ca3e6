package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"beckon"
	"beckon/internal/fault"
)

// sample is a request made from the examples of the specification.
type sample struct {
	op     *operation
	method string
	path   string
	types  string
	body   string
}

func (s sample) call() call {
	c := call{Method: s.method, Path: s.path, Body: s.body}
	if s.types != "" {
		c.Headers = map[string]string{"Content-Type": s.types}
	}
	return c
}

// samples returns one request for each operation of the specification.
func samples(t *testing.T, contract *Contract) map[string]sample {
	t.Helper()
	out := map[string]sample{}
	for path, item := range contract.doc.Paths.Map() {
		for method, op := range item.Operations() {
			s := sample{op: contract.operations[method+" "+echoPath(path)], method: method, path: path}
			query := ""
			for _, p := range s.op.params {
				example, _ := exampleOf(p.Value).(string)
				s.path = strings.ReplaceAll(s.path, "{"+p.Value.Name+"}", example)
				if p.Value.In == "query" && p.Value.Required {
					query += "&" + p.Value.Name + "=" + example
				}
			}
			if query != "" {
				s.path += "?" + query[1:]
			}
			if op.RequestBody != nil {
				s.types, s.body = bodyExample(t, op.RequestBody.Value)
			}
			out[op.OperationID] = s
		}
	}
	return out
}

func exampleOf(p *openapi3.Parameter) any {
	if n, ok := p.Example.(float64); ok {
		return json.Number(strings.TrimSuffix(strings.TrimSuffix(string(must(json.Marshal(n))), ".0"), ".")).String()
	}
	return p.Example
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func bodyExample(t *testing.T, body *openapi3.RequestBody) (contentType, text string) {
	t.Helper()
	for contentType, media := range body.Content {
		if s, ok := media.Example.(string); ok {
			return contentType, s
		}
		data, err := json.Marshal(media.Example)
		require.NoError(t, err)
		return contentType, string(data)
	}
	return "", ""
}

func TestSpecificationIsSoundAndComplete(t *testing.T) {
	t.Parallel()
	contract, err := NewContract(beckon.OpenAPI)
	require.NoError(t, err)
	for path, item := range contract.doc.Paths.Map() {
		for method, op := range item.Operations() {
			where := method + " " + path
			require.NotEmpty(t, op.Summary, where)
			require.Len(t, op.Tags, 1, where)
			require.NotNil(t, contract.doc.Tags.Get(op.Tags[0]), where)
			o := contract.operations[method+" "+echoPath(path)]
			require.Equal(t, strings.HasPrefix(path, "/v1/"), !o.open, where)
			require.Equal(t, o.open, len(o.scopes) == 0, where)
			for _, s := range o.scopes {
				require.Contains(t, Scopes(), s, where)
			}
			if method == http.MethodGet && strings.HasPrefix(path, "/v1/") && !strings.Contains(path, "api-keys") {
				require.True(t, strings.HasSuffix(string(o.scopes[0]), ":read"), where)
			}
		}
	}
}

// What the checks before every handler refuse is told of every operation.
func TestSpecificationNamesTheAnswersOfTheChecks(t *testing.T) {
	t.Parallel()
	contract, err := NewContract(beckon.OpenAPI)
	require.NoError(t, err)
	for path, item := range contract.doc.Paths.Map() {
		for method, op := range item.Operations() {
			if !strings.HasPrefix(path, "/v1/") {
				continue
			}
			want := []string{"401", "403", "422"}
			if op.RequestBody != nil {
				want = append(want, "400", "413", "415")
			}
			if op.Parameters.GetByInAndName("header", "Idempotency-Key") != nil {
				want = append(want, "409")
			}
			for _, status := range want {
				require.NotNil(t, op.Responses.Value(status), "%s %s does not tell of %s", method, path, status)
			}
		}
	}
}

// Whatever stands in a request body is closed: a name that nobody knows is a
// mistake of the caller and must be told.
func TestRequestBodiesAreClosed(t *testing.T) {
	t.Parallel()
	contract, err := NewContract(beckon.OpenAPI)
	require.NoError(t, err)
	for name, op := range contract.operations {
		if op.schema != nil {
			requireClosed(t, name, op.schema, map[*openapi3.Schema]bool{})
		}
	}
}

func requireClosed(t *testing.T, at string, s *openapi3.Schema, seen map[*openapi3.Schema]bool) {
	t.Helper()
	if seen[s] {
		return
	}
	seen[s] = true
	if s.Type != nil && s.Type.Is("object") && s.AdditionalProperties.Schema == nil {
		require.NotNil(t, s.AdditionalProperties.Has, at)
		require.False(t, *s.AdditionalProperties.Has, at)
	}
	if s.Type != nil && s.Type.Is("string") {
		require.True(t, s.MaxLength != nil || s.Enum != nil || s.Format != "", "%s has no end", at)
	}
	if s.Type != nil && s.Type.Is("array") {
		require.NotNil(t, s.MaxItems, "%s has no end", at)
		requireClosed(t, at+"/*", s.Items.Value, seen)
	}
	for name, p := range s.Properties {
		requireClosed(t, at+"/"+name, p.Value, seen)
	}
	for _, p := range s.AllOf {
		requireClosed(t, at, p.Value, seen)
	}
}

func TestNewContractRefusesABrokenSpecification(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{"%", "openapi: 3.0.3", "openapi: 3.0.3\ninfo: {title: x, version: '1'}\npaths: {/a: {get: {responses: {}}}}"} {
		_, err := NewContract(spec)
		require.Error(t, err)
	}
}

func TestCheckHoldsALineAgainstASchema(t *testing.T) {
	t.Parallel()
	contract, err := NewContract(beckon.OpenAPI)
	require.NoError(t, err)
	require.NoError(t, contract.Check("ContactCreate", []byte(`{"external_id":"1","attributes":{"a":null,"b":[1,{"c":true}]}}`)))
	err = contract.Check("ContactCreate", []byte(`{"external_id":7,"x":1}`))
	var f *fault.Error
	require.ErrorAs(t, err, &f)
	require.Equal(t, []fault.Field{
		{Pointer: "/external_id", Code: "wrong_type", Detail: "Must be text."},
		{Pointer: "/x", Code: "unknown_field", Detail: "There is no such field."},
	}, f.Fields)
	require.True(t, fault.Is(contract.Check("ContactCreate", []byte(`{`)), fault.Malformed))
	require.False(t, fault.Is(contract.Check("Nonsense", []byte(`{}`)), fault.Invalid))
	require.Error(t, contract.Check("Nonsense", []byte(`{}`)))
}

func TestExamplesOfAnswersFitTheirSchemas(t *testing.T) {
	t.Parallel()
	contract, err := NewContract(beckon.OpenAPI)
	require.NoError(t, err)
	require.NoError(t, contract.doc.Validate(context.Background(), openapi3.EnableExamplesValidation()))
	for path, item := range contract.doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status, response := range op.Responses.Map() {
				for contentType, media := range response.Value.Content {
					if contentType == "application/json" {
						require.NotNil(t, media.Example, "%s %s %s", method, path, status)
					}
				}
			}
		}
	}
}
