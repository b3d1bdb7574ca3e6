package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
)

const topicBody = `{"slug":"a","title":"b"}`

// counted routes POST /v1/topics to a handler that counts its calls.
func counted(b *bundle, handle func(n int64, c echo.Context) error) *atomic.Int64 {
	var n atomic.Int64
	b.e.POST("/v1/topics", func(c echo.Context) error { return handle(n.Add(1), c) })
	return &n
}

func created(n int64, c echo.Context) error {
	return c.JSON(http.StatusCreated, map[string]any{"n": n, "secret": "s3cr3t"})
}

func (b *bundle) post(key, body string) *httptest.ResponseRecorder {
	return b.do(call{Method: "POST", Path: "/v1/topics", Body: body, Headers: map[string]string{"Idempotency-Key": key}})
}

func TestTheSameKeyGivesTheFirstAnswerAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := newBundle(t, d)
		n := counted(b, created)
		first, second := b.post("k", topicBody), b.post("k", topicBody)
		require.Equal(t, 201, first.Code)
		require.Equal(t, 201, second.Code)
		require.Equal(t, first.Body.String(), second.Body.String())
		require.Equal(t, "true", second.Header().Get(headerReplayed))
		require.Empty(t, first.Header().Get(headerReplayed))
		require.EqualValues(t, 1, n.Load())

		w := b.post("k", `{"slug":"a","title":"c"}`)
		require.Equal(t, "idempotency_mismatch", b.problem(w).Code)
		require.Equal(t, 409, w.Code)
		b.post("other", topicBody)
		b.do(call{Method: "POST", Path: "/v1/topics", Body: topicBody})
		require.EqualValues(t, 3, n.Load())

		var rows []answer
		require.NoError(t, d.Read(t.Context()).Find(&rows).Error)
		for _, r := range rows {
			require.NotContains(t, string(r.Body), "s3cr3t", "answers are sealed")
		}
	})
}

// The same key on another object is another call, and told so.
func TestAKeyBelongsToOnePath(t *testing.T) {
	t.Parallel()
	b := setup(t)
	start := func(id string) *httptest.ResponseRecorder {
		return b.do(call{Method: "POST", Path: "/v1/campaigns/" + id + "/start", Headers: map[string]string{headerIdempotency: "k"}})
	}
	require.Equal(t, 200, start(pageID).Code)
	require.Equal(t, "true", start(pageID).Header().Get(headerReplayed))
	require.Equal(t, "idempotency_mismatch", b.problem(start(contactID)).Code)
}

func TestAKeyIsTheCallersOwn(t *testing.T) {
	t.Parallel()
	b := newBundle(t, dbtest.SQLite(t))
	n := counted(b, created)
	b.post("k", topicBody)
	other := map[string]string{"Idempotency-Key": "k", "Authorization": "Bearer " + b.newKey(PagesWrite)}
	b.do(call{Method: "POST", Path: "/v1/topics", Body: topicBody, Headers: other})
	require.EqualValues(t, 2, n.Load())
}

func TestAnAnswerThatRefusedIsNotKept(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := newBundle(t, d)
		counted(b, func(n int64, c echo.Context) error {
			switch n {
			case 1:
				return fault.New(fault.Conflict, "slug_taken", "The slug is taken.")
			case 2:
				return errors.New("database gone")
			case 3:
				panic("nil map")
			}
			return created(n, c)
		})
		for _, status := range []int{409, 500, 500, 201, 201} {
			require.Equal(t, status, b.post("k", topicBody).Code)
		}
	})
}

func TestOfManyAtOnceOneIsMade(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := newBundle(t, d)
		entered, leave := make(chan struct{}), make(chan struct{})
		n := counted(b, func(n int64, c echo.Context) error {
			close(entered)
			<-leave
			return created(n, c)
		})
		var wg sync.WaitGroup
		var first *httptest.ResponseRecorder
		wg.Go(func() { first = b.post("k", topicBody) })
		<-entered
		for range 3 {
			require.Equal(t, "idempotency_in_progress", b.problem(b.post("k", topicBody)).Code)
		}
		close(leave)
		wg.Wait()
		require.Equal(t, 201, first.Code)
		require.Equal(t, first.Body.String(), b.post("k", topicBody).Body.String())
		require.EqualValues(t, 1, n.Load())
	})
}

// A node that died amid a call must not hold its key for ever.
func TestAnAbandonedCallCanBeTakenOver(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := newBundle(t, d)
		box := NewIdempotency(d, nil, b.clock.Now)
		n := counted(b, created)
		b.post("k", topicBody)
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
			return tx.Model(&answer{}).Where("key = ?", "k").Updates(map[string]any{"status": 0, "body": nil}).Error
		}))
		require.Equal(t, 409, b.post("k", topicBody).Code)
		b.clock.Pass(callAbandoned + time.Second)
		require.Equal(t, 201, b.post("k", topicBody).Code)
		require.EqualValues(t, 2, n.Load())

		b.clock.Pass(answersKept + time.Second)
		require.Equal(t, 201, b.post("k", `{"slug":"a","title":"new day"}`).Code)
		require.EqualValues(t, 3, n.Load())

		b.post("young", topicBody)
		b.clock.Pass(answersKept - time.Second)
		b.post("younger", topicBody)
		b.clock.Pass(2 * time.Second)
		require.NoError(t, box.Purge(t.Context()))
		var left int64
		require.NoError(t, d.Read(t.Context()).Model(&answer{}).Count(&left).Error)
		require.EqualValues(t, 1, left)
	})
}

func TestACallGoesOnWhenTheCallerLeaves(t *testing.T) {
	t.Parallel()
	b := newBundle(t, dbtest.SQLite(t))
	ctx, leave := context.WithCancel(t.Context())
	counted(b, func(n int64, c echo.Context) error {
		leave()
		return created(n, c)
	})
	req := httptest.NewRequestWithContext(ctx, "POST", "/v1/topics", jsonReader(topicBody))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+b.key)
	req.Header.Set(headerIdempotency, "k")
	b.e.ServeHTTP(httptest.NewRecorder(), req)
	require.Equal(t, "true", b.post("k", topicBody).Header().Get(headerReplayed))
}

func TestKeysThemselvesAreNeverKept(t *testing.T) {
	t.Parallel()
	b := setupKeys(t, dbtest.SQLite(t))
	make := func() string {
		var made struct{ Key string }
		w := b.do(call{Method: "POST", Path: "/v1/api-keys", Body: `{"name":"x","scopes":["admin"]}`, Headers: map[string]string{headerIdempotency: "k"}})
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &made))
		return made.Key
	}
	require.NotEqual(t, make(), make())
	var rows int64
	require.NoError(t, b.db.Read(t.Context()).Model(&answer{}).Count(&rows).Error)
	require.Zero(t, rows)
}
