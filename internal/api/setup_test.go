package api

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"beckon"
	"beckon/internal/api/gen"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/seal"
	"beckon/internal/trail"
)

// clock is a time that stands still until it is told to go on.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// logs keeps what was logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type bundle struct {
	t        *testing.T
	e        *echo.Echo
	contract *Contract
	keys     *Keys
	clock    *clock
	logs     *logs
	db       *db.DB
	key      string // an admin key
}

// newBundle returns the router with no operation of a domain on it.
func newBundle(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	box, err := seal.New(bytes.Repeat([]byte("s"), seal.MinSecret))
	require.NoError(t, err)
	b := &bundle{t: t, contract: contract(t), clock: newClock(), logs: &logs{}, db: d}
	b.keys = NewKeys(d, b.clock.Now)
	b.key = b.newKey(Admin)
	b.e = router(Parts{
		Contract: b.contract, DB: d, Keys: b.keys, Answers: NewIdempotency(d, box, b.clock.Now), ImportLimit: 4 << 20,
		Log: slog.New(trail.Handler(slog.NewJSONHandler(b.logs, nil))),
	}, b.contract)
	return b
}

// readContract reads the specification once for all tests.
var readContract = sync.OnceValues(func() (*Contract, error) { return NewContract(beckon.OpenAPI) })

func contract(t *testing.T) *Contract {
	t.Helper()
	c, err := readContract()
	require.NoError(t, err)
	return c
}

// setup returns a router on which every operation that needs a domain says
// only that it was reached, and what body came.
func setup(t *testing.T) *bundle {
	t.Helper()
	b := newBundle(t, dbtest.SQLite(t))
	routed := map[string]bool{}
	for _, r := range b.e.Routes() {
		routed[r.Method+" "+r.Path] = true
	}
	for route, op := range b.contract.operations {
		if method, path, _ := strings.Cut(route, " "); !routed[route] {
			b.e.Add(method, path, func(c echo.Context) error { return reached(c, op) })
		}
	}
	return b
}

func reached(c echo.Context, op *operation) error {
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"reached": op.id, "body": string(body)})
}

// rest stands for the operations of the strict interface that a test does not need.
type rest struct{ gen.StrictServerInterface }

// setupKeys returns a router with the real operations on keys.
func setupKeys(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	b := newBundle(t, d)
	gen.RegisterHandlers(b.e, gen.NewStrictHandler(struct {
		*Server
		rest
	}{&Server{Parts: Parts{Keys: b.keys}}, rest{}}, nil))
	return b
}

func (b *bundle) newKey(scopes ...Scope) string {
	b.t.Helper()
	_, secret, err := b.keys.Create(b.t.Context(), "test", scopes)
	require.NoError(b.t, err)
	return secret
}

// call describes one request; the admin key and JSON are sent unless the
// headers say otherwise ("-" leaves one out).
type call struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
}

func (b *bundle) do(c call) *httptest.ResponseRecorder {
	b.t.Helper()
	req := httptest.NewRequestWithContext(b.t.Context(), c.Method, c.Path, strings.NewReader(c.Body))
	req.Header.Set("Authorization", "Bearer "+b.key)
	if c.Body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range c.Headers {
		if value == "-" {
			req.Header.Del(name)
			continue
		}
		req.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	b.e.ServeHTTP(w, req)
	return w
}

func (b *bundle) problem(w *httptest.ResponseRecorder) gen.Problem {
	b.t.Helper()
	require.Equal(b.t, "application/problem+json", w.Header().Get("Content-Type"), w.Body.String())
	require.NoError(b.t, b.contract.Check("Problem", w.Body.Bytes()))
	var p gen.Problem
	require.NoError(b.t, json.Unmarshal(w.Body.Bytes(), &p))
	require.Equal(b.t, w.Code, p.Status)
	return p
}

func codes(p gen.Problem) map[string]string {
	m := map[string]string{}
	for _, f := range p.Errors {
		m[f.Pointer] = f.Code
	}
	return m
}
