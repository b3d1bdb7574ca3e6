package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"beckon/internal/db"
	"beckon/internal/fault"
	"fmt"
	"net"
	"syscall"
)

func jsonMarshal(v any) ([]byte, error) { return json.Marshal(v) }

func TestRequestIDIsTakenWhenSaneAndMadeOtherwise(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for id, kept := range map[string]bool{"abc-1.2_3": true, "": false, "a b": false, strings.Repeat("x", 65): false, "a\tb": false} {
		w := b.do(call{Method: "GET", Path: "/v1/nothing", Headers: map[string]string{"X-Request-Id": id}})
		got := w.Header().Get("X-Request-Id")
		require.Equal(t, kept, got == id)
		require.Equal(t, got, b.problem(w).RequestID)
		require.Contains(t, b.logs.String(), `"request_id":"`+got+`"`)
	}
}

func TestAccessLogTellsTheRouteAndNothingPersonal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do(call{Method: "GET", Path: "/v1/contacts?email=amy%40example.com"})
	b.do(call{Method: "PUT", Path: "/v1/contacts/by-external-id/secret-id", Body: `{"first_name":"Amy"}`})
	b.do(call{Method: "GET", Path: "/l/Sup3rC0de"})
	b.do(call{Method: "GET", Path: "/l/Sup3rC0de/and/more"})
	log := b.logs.String()
	require.Contains(t, log, `"route":"/v1/contacts"`)
	require.Contains(t, log, `"route":"/v1/contacts/by-external-id/:external_id","status":200`)
	require.Contains(t, log, `"route":"/l/:code"`)
	require.Contains(t, log, `"key_id":"`)
	for _, private := range []string{"amy", "Amy", "secret-id", "Sup3rC0de", b.key} {
		require.NotContains(t, log, private)
	}
}

func TestAccessLogIsNotFilledByWhatComesByTheThousand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do(call{Method: "GET", Path: "/healthz"})
	b.do(call{Method: "GET", Path: "/readyz"})
	b.do(call{Method: "POST", Path: "/webhooks/messenger", Body: `{}`})
	require.NotContains(t, b.logs.String(), `"msg":"request"`)
	b.e.POST("/webhooks/refused", func(echo.Context) error { return fault.New(fault.Forbidden, "bad_signature", "No.") })
	b.do(call{Method: "POST", Path: "/webhooks/refused", Body: `{}`})
	require.Contains(t, b.logs.String(), `"route":"/webhooks/refused","status":403`)
	b.do(call{Method: "GET", Path: "/v1/contacts"})
	require.Contains(t, b.logs.String(), `"route":"/v1/contacts"`)
}

func TestPanicsAndUnknownErrorsShowNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.e.GET("/panic", func(echo.Context) error { panic("secret panic") })
	b.e.GET("/unknown", func(echo.Context) error { return errors.New("inner working") })
	b.e.GET("/inner", func(echo.Context) error { return fault.New(fault.Internal, "x", "inner working") })
	for _, path := range []string{"/panic", "/unknown", "/inner"} {
		w := b.do(call{Method: "GET", Path: path})
		p := b.problem(w)
		require.Equal(t, 500, p.Status)
		require.Equal(t, "internal", p.Code)
		require.NotContains(t, w.Body.String(), "inner working")
		require.Contains(t, b.logs.String(), p.RequestID)
	}
	require.Contains(t, b.logs.String(), "inner working")
	require.NotContains(t, b.logs.String(), "secret panic")
	require.Contains(t, b.logs.String(), "middleware_test.go", "the stack is written down")
	require.Equal(t, 3, strings.Count(b.logs.String(), `"msg":"request failed"`), "each once")
}

func TestEveryKindOfFaultHasItsStatus(t *testing.T) {
	t.Parallel()
	for kind, status := range map[fault.Kind]int{
		fault.Malformed: 400, fault.Unauthorized: 401, fault.Forbidden: 403, fault.NotFound: 404, fault.Conflict: 409, fault.TooLarge: 413,
		fault.Unsupported: 415, fault.Invalid: 422, fault.TooMany: 429, fault.Unavailable: 503, fault.Internal: 500,
	} {
		require.Equal(t, status, problemOf(fault.New(kind, "code", "detail")).Status, kind)
	}
}

func TestSomeProblemsSayWhenOrHowToComeBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.e.GET("/busy", func(echo.Context) error { return fault.New(fault.TooMany, "too_many", "Slow down.") })
	require.NotEmpty(t, b.do(call{Method: "GET", Path: "/busy"}).Header().Get("Retry-After"))
	require.Equal(t, "Bearer", b.do(call{Method: "GET", Path: "/v1/pages", Headers: map[string]string{"Authorization": "-"}}).Header().Get("WWW-Authenticate"))
	w := b.do(call{Method: "PUT", Path: "/v1/pages"})
	require.Equal(t, "method_not_allowed", b.problem(w).Code)
	require.Contains(t, w.Header().Get("Allow"), "POST")
}

func TestAnAbortedAnswerIsNotRecovered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.e.GET("/abort", func(echo.Context) error { panic(http.ErrAbortHandler) })
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { b.do(call{Method: "GET", Path: "/abort"}) })
}

// When the database is down, nobody's key is wrong.
func TestADeadDatabaseIsNotTheCallersFault(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.db.Close())
	p := b.problem(b.do(call{Method: "GET", Path: "/v1/pages"}))
	require.Equal(t, "internal", p.Code)
}

// A full disk and a database that is away are told as what they are, and when to
// come back; what works goes on working.
func TestADatabaseThatCannotWorkIsToldAsSuch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.e.GET("/away", func(echo.Context) error {
		return fmt.Errorf("begin: %w", &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED})
	})
	w := b.do(call{Method: "GET", Path: "/away"})
	require.Equal(t, "database_away", b.problem(w).Code)
	require.NotEmpty(t, w.Header().Get("Retry-After"))

	b.e.GET("/fill", func(c echo.Context) error {
		return b.db.Transact(c.Request().Context(), func(tx *db.Tx) error {
			return tx.Exec("UPDATE topics SET title = ?", strings.Repeat("x", 1<<20)).Error
		})
	})
	most := func(pages int) {
		_, err := b.db.SQL().ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages))
		require.NoError(t, err)
	}
	most(1) // SQLite takes the present size
	w = b.do(call{Method: "GET", Path: "/fill"})
	require.Equal(t, 503, w.Code)
	require.Equal(t, "disk_full", b.problem(w).Code)
	require.NotEmpty(t, w.Header().Get("Retry-After"))
	require.Equal(t, 200, b.do(call{Method: "GET", Path: "/healthz"}).Code)
	require.Equal(t, "disk_full", b.problem(b.do(call{Method: "GET", Path: "/readyz"})).Code)
	most(1 << 20)
	require.Equal(t, 200, b.do(call{Method: "GET", Path: "/readyz"}).Code)
	require.Equal(t, 200, b.do(call{Method: "GET", Path: "/fill"}).Code)
	require.NotContains(t, b.logs.String(), `"level":"ERROR"`, "nobody is to be woken by a health check")
}

func TestACallerWhoLeftIsNoError(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, leave := context.WithCancel(t.Context())
	b.e.GET("/slow", func(c echo.Context) error {
		leave()
		return c.Request().Context().Err()
	})
	b.e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/slow", nil))
	require.NotContains(t, b.logs.String(), "request failed")
	require.Contains(t, b.logs.String(), `"route":"/slow"`)
}

func TestABodyThatBreaksOffIsMalformed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	req := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/topics", iotest.ErrReader(io.ErrUnexpectedEOF))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+b.key)
	w := httptest.NewRecorder()
	b.e.ServeHTTP(w, req)
	require.Equal(t, "malformed", b.problem(w).Code)
}

func TestBearerIsReadLeniently(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for value, status := range map[string]int{"Bearer " + b.key: 200, "bearer  " + b.key + " ": 200, "BEARER " + b.key: 200, b.key: 401, "Bearer": 401, "Token " + b.key: 401} {
		require.Equal(t, status, b.do(call{Method: "GET", Path: "/v1/pages", Headers: map[string]string{"Authorization": value}}).Code, status)
	}
}

func TestContentTypesAreComparedAsMediaTypes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for value, status := range map[string]int{
		"application/json": 200, "application/json; charset=utf-8": 200, "Application/JSON": 200,
		"application/jsonx": 415, "text/json": 415, ";": 415, "application/merge-patch+json": 415,
	} {
		w := b.do(call{Method: "POST", Path: "/v1/topics", Body: `{"slug":"a","title":"b"}`, Headers: map[string]string{"Content-Type": value}})
		require.Equal(t, status, w.Code, value)
	}
}

// An answer that breaks off must not look whole.
func TestAnErrorAmidTheAnswerBreaksTheConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.e.GET("/export", func(c echo.Context) error {
		if err := c.String(http.StatusOK, "first line\n"); err != nil {
			return err
		}
		return errors.New("database gone")
	})
	server := httptest.NewServer(b.e)
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/export", nil)
	require.NoError(t, err)
	res, err := server.Client().Do(req)
	if err == nil {
		_, err = new(bytes.Buffer).ReadFrom(res.Body)
		require.NoError(t, res.Body.Close())
	}
	require.Error(t, err)
}

func TestStreamedBodiesAreLimitedWhileReading(t *testing.T) {
	t.Parallel()
	b := setup(t)
	csv := map[string]string{"Content-Type": "text/csv; charset=utf-8"}
	w := b.do(call{Method: "POST", Path: "/v1/contacts/import", Headers: csv, Body: strings.Repeat("x", 2<<20)})
	require.Equal(t, 200, w.Code)
	req := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/contacts/import", strings.NewReader(strings.Repeat("x", 5<<20)))
	req.ContentLength = -1
	req.Header.Set("Content-Type", "text/csv")
	req.Header.Set("Authorization", "Bearer "+b.key)
	w = httptest.NewRecorder()
	b.e.ServeHTTP(w, req)
	require.Equal(t, "too_large", b.problem(w).Code)
}

func TestABodyOfUnknownLengthIsLimitedToo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	req := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/topics", strings.NewReader(strings.Repeat(" ", 10<<20)))
	req.ContentLength = -1
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+b.key)
	w := httptest.NewRecorder()
	b.e.ServeHTTP(w, req)
	require.Equal(t, "too_large", b.problem(w).Code)
}

func TestOddPathsAndQueriesAreMalformed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{"/v1/contacts?q=%ff%fe", "/v1/contacts?q=a%00b", "/v1/contacts?%zz", "/v1/contacts/by-external-id/a%00"} {
		req := call{Method: "GET", Path: path}
		if strings.Contains(path, "external") {
			req.Method, req.Body = "PUT", `{}`
		}
		require.Equal(t, "malformed", b.problem(b.do(req)).Code, path)
	}
}

func TestAddressesThatDoNotExistAreNotFound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{"/v1", "/v1/", "/v1/pages/", "/v1/pages/" + pageID + "/x", "/l/a/b", "/l/a/", "/v1//pages", "/docs/", "/docs/index.html", "/docs/LICENSE"} {
		require.Equal(t, "not_found", b.problem(b.do(call{Method: "GET", Path: path})).Code, path)
	}
}

func TestARouteThatIsNotSpecifiedIsClosed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.e.GET("/v1/backdoor", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	require.Equal(t, "not_found", b.problem(b.do(call{Method: "GET", Path: "/v1/backdoor"})).Code)
}

func TestBodiesReachTheHandlerAsTheyCame(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []call{
		{Method: "POST", Path: "/webhooks/messenger", Body: `{"a": 1, "a": 2}`},
		{Method: "POST", Path: "/webhooks/twilio/status/7", Body: "A=1&A=2", Headers: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}},
		{Method: "POST", Path: "/u/abc", Body: "List-Unsubscribe=One-Click", Headers: map[string]string{"Content-Type": "-"}},
		{Method: "POST", Path: "/v1/contacts", Body: ` {"external_id": "7"} `},
	} {
		var got map[string]string
		require.NoError(t, json.Unmarshal(b.do(c).Body.Bytes(), &got))
		require.Equal(t, c.Body, got["body"])
	}
}

func TestDocumentationIsServedFromWithin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for path, contentType := range map[string]string{
		"/docs": "text/html", "/docs/swagger-ui-bundle.js": "text/javascript", "/docs/swagger-ui.css": "text/css",
		"/docs/page.js": "text/javascript", "/docs/page.css": "text/css", "/openapi.yaml": "application/yaml",
	} {
		w := b.do(call{Method: "GET", Path: path, Headers: map[string]string{"Authorization": "-"}})
		require.Equal(t, 200, w.Code, path)
		require.Contains(t, w.Header().Get("Content-Type"), contentType)
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	}
	w := b.do(call{Method: "GET", Path: "/docs"})
	require.Contains(t, w.Header().Get("Content-Security-Policy"), "script-src 'self';")
	require.NotContains(t, w.Body.String(), "://")
	require.NotContains(t, w.Body.String(), "<script>")
}

func TestReadinessFollowsTheDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Equal(t, 200, b.do(call{Method: "GET", Path: "/readyz"}).Code)
	require.NoError(t, b.db.Close())
	require.Equal(t, "database_away", b.problem(b.do(call{Method: "GET", Path: "/readyz"})).Code)
	require.Equal(t, 200, b.do(call{Method: "GET", Path: "/healthz"}).Code)
}

var update = flag.Bool("update", false, "rewrite the golden files") //nolint:gochecknoglobals // a flag of the test

// Programs are written against these documents: they may grow, but what is in
// them stays.
func TestProblemsAreAsWrittenDown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	files, err := filepath.Glob("testdata/problems/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var golden struct {
			Request call            `json:"request"`
			Problem json.RawMessage `json:"problem"`
		}
		require.NoError(t, json.Unmarshal(data, &golden), file)
		c := golden.Request
		c.Headers = map[string]string{"X-Request-Id": "golden"}
		for k, v := range golden.Request.Headers {
			c.Headers[k] = v
		}
		w := b.do(c)
		b.problem(w)
		if *update {
			golden.Problem = w.Body.Bytes()
			writeGolden(t, file, golden)
			continue
		}
		require.JSONEq(t, string(golden.Problem), w.Body.String(), file)
	}
}

func writeGolden(t *testing.T, file string, golden any) {
	t.Helper()
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	require.NoError(t, enc.Encode(golden))
	require.NoError(t, os.WriteFile(file, out.Bytes(), 0o600))
}
