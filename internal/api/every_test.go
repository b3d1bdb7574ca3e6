package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
)

// The example of every operation reaches its handler.
func TestEveryExampleIsTaken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for id, s := range samples(t, b.contract) {
		w := b.do(s.call())
		require.Equal(t, http.StatusOK, w.Code, "%s: %s", id, w.Body)
		if s.op.body != bodyNone {
			require.NotContains(t, w.Header().Get("Content-Type"), "problem", id)
		}
	}
}

// rubbish is what every operation must refuse, and how.
type rubbish struct {
	name    string
	applies func(s sample) bool
	spoil   func(c *call)
	status  int
	code    string
}

func closed(s sample) bool   { return !s.op.open }
func json1(s sample) bool    { return s.op.body == bodyJSON }
func withBody(s sample) bool { return len(s.op.types) > 0 && s.types != "*/*" }
func validated(s sample) bool {
	return !s.op.open && s.op.body != bodyRaw
}

func header(name, value string) func(*call) {
	return func(c *call) {
		if c.Headers == nil {
			c.Headers = map[string]string{}
		}
		c.Headers[name] = value
	}
}

func body(text string) func(*call) { return func(c *call) { c.Body = text } }

func rubbishCases() []rubbish {
	return []rubbish{
		{"no key", closed, header("Authorization", "-"), 401, "unauthorized"},
		{"not a key", closed, header("Authorization", "Bearer x"), 401, "unauthorized"},
		{"unknown key", closed, header("Authorization", "Bearer bk_"+strings.Repeat("x", 43)), 401, "unauthorized"},
		{"other scheme", closed, header("Authorization", "Basic YTpi"), 401, "unauthorized"},
		{"wrong content type", withBody, header("Content-Type", "application/xml"), 415, "unsupported_media_type"},
		{"no content type", withBody, header("Content-Type", "-"), 415, "unsupported_media_type"},
		{"10 MB", withBody, body(strings.Repeat(" ", 10<<20)), 413, "too_large"},
		{"empty", json1, body(" "), 400, "malformed"},
		{"not JSON", json1, body(`{"a":`), 400, "malformed"},
		{"not UTF-8", json1, body("{\"a\":\"\xff\"}"), 400, "malformed"},
		{"NUL", json1, body(`{"a":"\u0000"}`), 400, "malformed"},
		{"name twice", json1, body(`{"a":1,"a":2}`), 400, "malformed"},
		{"text after the end", json1, body(`{} {}`), 400, "malformed"},
		{"too deep", json1, body(strings.Repeat("[", 100) + strings.Repeat("]", 100)), 400, "malformed"},
		{"an array", json1, body(`[]`), 422, "invalid_fields"},
		{"null", json1, body(`null`), 422, "invalid_fields"},
		{"unknown field", json1, func(c *call) { c.Body = strings.Replace(c.Body, "{", `{"nonsense":1,`, 1) }, 422, "invalid_fields"},
		{"unknown parameter", validated, func(c *call) {
			c.Path += map[bool]string{true: "&", false: "?"}[strings.Contains(c.Path, "?")] + "nonsense=1"
		}, 422, "invalid_fields"},
	}
}

func TestEveryOperationRefusesRubbish(t *testing.T) {
	t.Parallel()
	b := setup(t)
	all := samples(t, b.contract)
	for _, r := range rubbishCases() {
		met := 0
		for id, s := range all {
			if !r.applies(s) {
				continue
			}
			met++
			c := s.call()
			r.spoil(&c)
			w := b.do(c)
			require.Equal(t, r.status, w.Code, "%s: %s: %s", r.name, id, w.Body)
			require.Equal(t, r.code, b.problem(w).Code, "%s: %s", r.name, id)
		}
		require.NotZero(t, met, r.name)
	}
}

func TestEveryOperationAsksForItsScope(t *testing.T) {
	t.Parallel()
	b := setup(t)
	keys := map[Scope]string{}
	for _, s := range Scopes() {
		keys[s] = b.newKey(s)
	}
	for id, s := range samples(t, b.contract) {
		if s.op.open {
			continue
		}
		for scope, key := range keys {
			c := s.call()
			header("Authorization", "Bearer "+key)(&c)
			w := b.do(c)
			if (Key{Scopes: []Scope{scope}}).Allows(s.op.scopes[0]) {
				require.Equal(t, http.StatusOK, w.Code, "%s with %s", id, scope)
				continue
			}
			require.Equal(t, http.StatusForbidden, w.Code, "%s with %s", id, scope)
			require.Equal(t, "scope_missing", b.problem(w).Code)
		}
	}
}

// A wrong field of every operation is found, and none is answered with what
// was sent.
func TestEveryFieldIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const secret = "s3cr3t-value"
	for id, s := range samples(t, b.contract) {
		if s.op.body != bodyJSON {
			continue
		}
		var parts []string
		for name := range s.op.schema.Properties {
			parts = append(parts, `"`+name+`":[{"`+secret+`":"`+secret+`"},"`+secret+`"]`)
		}
		c := s.call()
		c.Body = "{" + strings.Join(parts, ",") + "}"
		w := b.do(c)
		require.Equal(t, http.StatusUnprocessableEntity, w.Code, "%s: %s", id, w.Body)
		p := b.problem(w)
		for name := range s.op.schema.Properties {
			require.True(t, named(p, "/"+name), "%s: %s of %v", id, name, p.Errors)
		}
		for _, f := range p.Errors {
			require.NotContains(t, f.Detail, secret)
		}
		require.NotContains(t, b.logs.String(), secret)
	}
}

func named(p gen.Problem, at string) bool {
	for _, f := range p.Errors {
		if f.Pointer == at || strings.HasPrefix(f.Pointer, at+"/") {
			return true
		}
	}
	return false
}
