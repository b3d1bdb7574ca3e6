package simulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// The files that LoadSpecs wants, as the vendors publish them.
const (
	twilioSpec   = "twilio_api_v2010.yaml"
	sendGridSpec = "sendgrid_mail_v3.yaml"
)

// Specs are the official OpenAPI descriptions of Twilio and SendGrid. They are
// read only after LoadSpecs, and safe for use by many goroutines.
type Specs struct {
	docs    map[Provider]*openapi3.T
	options *openapi3filter.Options
}

// LoadSpecs reads the official descriptions from a folder. It takes about a
// second, so it is done only where requests are to be checked.
func LoadSpecs(dir string) (*Specs, error) {
	s := &Specs{docs: make(map[Provider]*openapi3.T), options: &openapi3filter.Options{
		AuthenticationFunc:  openapi3filter.NoopAuthenticationFunc, // the stand-ins check credentials
		SkipSettingDefaults: true,
		SchemaValidationOptions: []openapi3.SchemaValidationOption{
			openapi3.WithStringFormatValidator("email", openapi3.NewCallbackValidator(checkEmail)),
		},
	}}
	for p, name := range map[Provider]string{Twilio: twilioSpec, SendGrid: sendGridSpec} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("simulator: specs: %w", err)
		}
		doc, err := openapi3.NewLoader().LoadFromData(data)
		if err != nil {
			return nil, fmt.Errorf("simulator: specs: %s: %w", name, err)
		}
		s.docs[p] = doc
	}
	return s, nil
}

func checkEmail(address string) error {
	if !isMailAddress(address) {
		return errors.New("not an address")
	}
	return nil
}

// Check tells whether a request is one that the provider's description allows;
// Graph has none, and everything passes. It fits Config.Check. Its errors hold
// no value of the request.
func (s *Specs) Check(p Provider, r *http.Request, body []byte) error {
	doc := s.docs[p]
	if doc == nil {
		return nil
	}
	path := strings.TrimPrefix(r.URL.Path, "/"+string(p))
	route, params := match(doc, r.Method, path)
	if route == nil {
		return fmt.Errorf("%s: %s is not in the description", p, r.Method)
	}
	req := r.Clone(r.Context())
	req.Body = io.NopCloser(bytes.NewReader(body))
	err := openapi3filter.ValidateRequest(context.WithoutCancel(r.Context()), &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params, Route: route, Options: s.options,
	})
	if err != nil {
		return fmt.Errorf("%s: %s: %s", p, route.Path, describe(err))
	}
	return nil
}

// describe words an error of the validator without the values it is about.
func describe(err error) string {
	if s := (*openapi3.SchemaError)(nil); errors.As(err, &s) {
		return "/" + strings.Join(s.JSONPointer(), "/") + " breaks " + s.SchemaField
	}
	var req *openapi3filter.RequestError
	if !errors.As(err, &req) {
		return "not as described"
	}
	if req.Parameter != nil {
		return "parameter " + req.Parameter.Name + " is not as described"
	}
	return "the body is not as described"
}

// match finds the operation for a path; among templates that fit, the one with
// the fewest parameters wins.
func match(doc *openapi3.T, method, path string) (*routers.Route, map[string]string) {
	var best *routers.Route
	var bestParams map[string]string
	for template, item := range doc.Paths.Map() {
		params, ok := fits(template, path)
		op := item.GetOperation(method)
		if !ok || op == nil || (best != nil && len(params) >= len(bestParams)) {
			continue
		}
		best = &routers.Route{Spec: doc, Path: template, PathItem: item, Method: method, Operation: op}
		bestParams = params
	}
	return best, bestParams
}

// fits matches a path with a template such as /Accounts/{Sid}.json.
func fits(template, path string) (map[string]string, bool) {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	params := make(map[string]string)
	for i, w := range want {
		before, rest, templated := strings.Cut(w, "{")
		if !templated {
			if w != got[i] {
				return nil, false
			}
			continue
		}
		name, after, _ := strings.Cut(rest, "}")
		value, ok := strings.CutPrefix(got[i], before)
		if !ok || !strings.HasSuffix(value, after) {
			return nil, false
		}
		params[name] = strings.TrimSuffix(value, after)
	}
	return params, true
}

// specLog keeps what Config.Check refused.
type specLog struct {
	mu   sync.Mutex
	errs []error
}

// SpecErrors returns what Config.Check refused so far.
func (s *Simulator) SpecErrors() []error {
	s.specs.mu.Lock()
	defer s.specs.mu.Unlock()
	return append([]error(nil), s.specs.errs...)
}

// checked runs Config.Check and answers 400 when it refuses.
func (s *Simulator) checked(p Provider, c *call) bool {
	if s.cfg.Check == nil {
		return true
	}
	err := s.cfg.Check(p, c.r, c.body)
	if err == nil {
		return true
	}
	s.specs.mu.Lock()
	s.specs.errs = append(s.specs.errs, err)
	s.specs.mu.Unlock()
	c.desk.refuse("spec")
	http.Error(c.w, err.Error(), http.StatusBadRequest)
	return false
}
