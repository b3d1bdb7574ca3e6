package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// status is what a node answers to a GET, without the gate.
func (n *node) status(t require.TestingT, path string) (status int) {
	resp, err := http.Get("http://" + n.address + path)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// jobsWorked counts jobs that anybody began to work.
func (a *app) jobsWorked(t require.TestingT) (n int64) {
	require.NoError(t, a.db.Read(context.Background()).Raw("SELECT COUNT(*) FROM river_job WHERE attempt > 0").Scan(&n).Error)
	return n
}

func (w *world) app(t *testing.T) *app {
	t.Helper()
	c, err := readConfig(w.environ)
	require.NoError(t, err)
	a, err := newApp(t.Context(), c, newLogger(c, w.logs))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, a.close()) })
	return a
}

// What one node takes in another one works, and neither does the other's part.
func TestOneNodeServesAndAnotherWorks(t *testing.T) {
	t.Parallel()
	w, people := newWorld(t, onPostgres(t), nil), crowd{window: 5, sms: 5, email: 5}
	front := w.serve(t, "BECKON_ROLE=api")
	w.open(t)
	id := ask[importAnswer](t, w, 202, "POST", "/v1/contacts/import?page_id="+w.page, people.file(w)).ID
	require.Equal(t, 200, front.status(t, "/readyz"))
	require.Equal(t, "queued", ask[importAnswer](t, w, 200, "GET", "/v1/imports/"+id, nil).State)
	require.Zero(t, w.app(t).jobsWorked(t), "nobody works yet")

	back := w.serve(t, "BECKON_ROLE=worker")
	w.leadTo(front.address)
	eventually(t, func(c *assert.CollectT) { require.Equal(c, 200, back.status(c, "/readyz")) })
	require.Equal(t, 200, back.status(t, "/healthz"))
	for _, path := range []string{"/v1/contacts", "/openapi.yaml", "/webhooks/messenger", "/docs"} {
		require.Equal(t, 404, back.status(t, path), path)
	}
	require.Equal(t, 15, w.importDone(t, id).Created)
	w.chat(t, people)
	campaign := w.campaign(t, "window", "sms", "email")
	eventually(t, func(c *assert.CollectT) {
		r := w.report(c, campaign)
		require.Equal(c, "finished", r.State)
		require.Equal(c, 15, r.count("delivered"), r.progress())
	})
	require.Equal(t, w.addressed(t, campaign, "delivered"), w.sentTo())
	back.stop(t)
	front.stop(t)
}

func TestANodeIsReadyWhenItWorks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, onSQLite(t), nil)
	a := w.app(t)
	for role, want := range map[Role]int{RoleAll: 503, RoleWorker: 503, RoleAPI: 200} {
		a.config.Role = role
		h, err := a.handler()
		require.NoError(t, err)
		got := httptest.NewRecorder()
		h.ServeHTTP(got, httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody))
		require.Equal(t, want, got.Code, role)
		if want == 503 {
			require.Contains(t, got.Body.String(), "The jobs are not being worked yet.")
		}
	}
}
