package queue_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/queue"
)

type note struct {
	Text string `json:"text"`
}

func (note) Kind() string { return "test.note" }

type bundle struct {
	q    *queue.Queue
	d    *db.DB
	mu   sync.Mutex
	seen []string
	fail func(string) error
}

func setup(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	b := &bundle{d: d, q: queue.New(d, slog.New(slog.DiscardHandler)), fail: func(string) error { return nil }}
	queue.Handle(b.q, 4, func(_ context.Context, j queue.Job[note]) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.seen = append(b.seen, j.Args.Text)
		return b.fail(j.Args.Text)
	})
	require.NoError(t, b.q.Open())
	return b
}

func (b *bundle) got() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.seen...)
}

func (b *bundle) insert(t *testing.T, fail error, orders ...queue.Order) error {
	t.Helper()
	return b.d.Transact(t.Context(), func(tx *db.Tx) error {
		return errors.Join(b.q.Insert(t.Context(), tx, orders...), fail)
	})
}

func TestJobExistsOnlyIfItsTransactionCommits(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		require.Error(t, b.insert(t, errors.New("no"), queue.Order{Args: note{"lost"}}))
		require.NoError(t, b.insert(t, nil, queue.Order{Args: note{"kept"}}, queue.Order{Args: note{"later"}, At: time.Now().Add(time.Hour)}))
		require.NoError(t, b.q.Drain(t.Context(), time.Now()))
		require.Equal(t, []string{"kept"}, b.got())
		require.NoError(t, b.q.Drain(t.Context(), time.Now().Add(2*time.Hour)))
		require.Equal(t, []string{"kept", "later"}, b.got())
	})
}

func TestDrainHonoursLaterAndReturnsFailures(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.fail = func(string) error { return queue.Later(time.Minute) }
		require.NoError(t, b.insert(t, nil, queue.Order{Args: note{"a"}}))
		now := time.Now()
		require.NoError(t, b.q.Drain(t.Context(), now))
		b.fail = func(string) error { return errors.New("boom") }
		require.ErrorContains(t, b.q.Drain(t.Context(), now.Add(2*time.Minute)), "boom")
		require.Equal(t, []string{"a", "a"}, b.got())
	})
}

func TestRunWorksJobsAndStopsWithoutCuttingOne(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		started, finish := make(chan struct{}), make(chan struct{})
		b.fail = func(string) error { close(started); <-finish; return nil }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.q.Run(ctx, time.Minute) }()
		require.NoError(t, b.insert(t, nil, queue.Order{Args: note{"slow"}}))
		<-started
		cancel()
		close(finish)
		require.NoError(t, <-done)
		var state string
		require.NoError(t, d.Read(t.Context()).Raw("SELECT CAST(state AS text) FROM river_job").Scan(&state).Error)
		require.Equal(t, "completed", state)
	})
}

func TestRunTakesOverTheJobsOfADeadNode(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		require.NoError(t, b.insert(t, nil, queue.Order{Args: note{"cut off"}}, queue.Order{Args: note{"still running elsewhere"}}))
		for id, age := range []time.Duration{queue.RescueAfter + time.Second, queue.RescueAfter - time.Minute/2} {
			require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
				return tx.Exec("UPDATE river_job SET state = 'running', attempt = 1, attempted_at = ? WHERE id = ?", time.Now().UTC().Add(-age), id+1).Error
			}))
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.q.Run(ctx, time.Minute) }()
		require.Eventually(t, func() bool { return len(b.got()) > 0 }, 4*time.Second, 10*time.Millisecond)
		cancel()
		require.NoError(t, <-done)
		require.Equal(t, []string{"cut off"}, b.got())
	})
}
