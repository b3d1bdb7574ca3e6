package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
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
		b.fail = func(string) error {
			require.False(t, b.q.Ending())
			close(started)
			<-finish
			for !b.q.Ending() {
				runtime.Gosched()
			}
			return nil
		}
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

// abandon makes a job look as if it had been running for a while.
func (b *bundle) abandon(t *testing.T, id int64, age time.Duration) {
	t.Helper()
	require.NoError(t, b.d.Transact(t.Context(), func(tx *db.Tx) error {
		return tx.Exec("UPDATE river_job SET state = 'running', attempt = 1, attempted_at = ? WHERE id = ?", time.Now().UTC().Add(-age), id).Error
	}))
}

// running works jobs until stop is called.
func running(t *testing.T, q *queue.Queue) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx, time.Minute) }()
	return func() {
		cancel()
		require.NoError(t, <-done)
	}
}

func TestRunTakesOverTheJobsOfADeadNode(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		require.NoError(t, b.insert(t, nil, queue.Order{Args: note{"cut off"}}, queue.Order{Args: note{"still running elsewhere"}}))
		b.abandon(t, 1, queue.RescueAfter+time.Second)
		b.abandon(t, 2, queue.RescueAfter-time.Minute/2)
		stop := running(t, b.q)
		require.Eventually(t, func() bool { return len(b.got()) > 0 }, 4*time.Second, 10*time.Millisecond)
		stop()
		require.Equal(t, []string{"cut off"}, b.got())
	})
}

func TestAShorterTimeoutIsTakenOverSooner(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		require.NoError(t, b.insert(t, nil, queue.Order{Args: note{"cut off"}}, queue.Order{Args: note{"still running elsewhere"}}))
		b.abandon(t, 1, queue.RescueAfter-14*time.Second)
		b.abandon(t, 2, queue.RescueAfter-16*time.Second)
		b.q.Within(queue.JobTimeout - 15*time.Second)
		stop := running(t, b.q)
		require.Eventually(t, func() bool { return len(b.got()) > 0 }, 4*time.Second, 10*time.Millisecond)
		stop()
		require.Equal(t, []string{"cut off"}, b.got())
	})
}

func TestAJobOutOfTimeIsToldSo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		q, told := queue.New(d, slog.New(slog.DiscardHandler)), make(chan error, 1)
		queue.Handle(q, 1, func(ctx context.Context, _ queue.Job[other]) error {
			<-ctx.Done()
			told <- ctx.Err()
			return nil
		})
		q.Within(time.Millisecond)
		require.NoError(t, q.Open())
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error { return q.Insert(t.Context(), tx, queue.Order{Args: other{}}) }))
		stop := running(t, q)
		require.ErrorIs(t, <-told, context.DeadlineExceeded)
		stop()
	})
}

func TestAJobBeginsNothingShortlyBeforeItsEnd(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]time.Duration{0: 20 * time.Second, queue.JobTimeout: 20 * time.Second, 15 * time.Second: 5 * time.Second, time.Hour: 20 * time.Second} {
		ctx, cancel := t.Context(), context.CancelFunc(func() {})
		if timeout > 0 {
			ctx, cancel = context.WithTimeout(ctx, timeout)
		}
		require.WithinDuration(t, time.Now().Add(want), queue.WorkUntil(ctx, 20*time.Second), time.Second)
		cancel()
	}
}

type other struct{}

func (other) Kind() string { return "test.other" }

func TestANodeThatDoesNotKnowAKindLeavesItsJobsToOthers(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		require.NoError(t, b.insert(t, nil, queue.Order{Args: note{"cut off"}}))
		b.abandon(t, 1, queue.RescueAfter+time.Hour)
		stranger := queue.New(d, slog.New(slog.DiscardHandler))
		queue.Handle(stranger, 1, func(context.Context, queue.Job[other]) error { return nil })
		require.NoError(t, stranger.Open())
		stop := running(t, stranger)
		require.Eventually(t, func() bool {
			var state string
			return d.Read(t.Context()).Raw("SELECT CAST(state AS text) FROM river_job").Scan(&state).Error == nil && state == "available"
		}, 4*time.Second, 10*time.Millisecond)
		stop()
		require.NoError(t, b.q.Drain(t.Context(), time.Now()))
		require.Equal(t, []string{"cut off"}, b.got())
	})
}

func TestNobodyTakesOverAJobThatIsAlive(t *testing.T) {
	t.Parallel()
	require.Greater(t, queue.RescueAfter, queue.JobTimeout+queue.WindDown)
	require.Less(t, queue.RescueAfter+2*queue.RescueEvery, time.Minute, "a dead node's work is taken up within a minute")
}

func TestAJobSaysWhichProcessHasIt(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		require.NoError(t, b.insert(t, nil, queue.Order{Args: note{"mine"}}))
		stop := running(t, b.q)
		require.Eventually(t, func() bool { return len(b.got()) > 0 }, 4*time.Second, 10*time.Millisecond)
		stop()
		var by string
		require.NoError(t, d.Read(t.Context()).Raw("SELECT CAST(attempted_by AS text) FROM river_job").Scan(&by).Error)
		require.Contains(t, by, fmt.Sprintf("-%d-", os.Getpid()))
	})
}
