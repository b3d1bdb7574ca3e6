package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/webhook"
)

// crowd lets callbacks come while a commit cannot go on: the first one starts it,
// and the others wait. It returns what each was told, in their order.
func (b *bundle) crowd(ctx context.Context, all []channel.Callback) []error {
	b.t.Helper()
	answers := make([]chan error, len(all))
	b.tx(func(tx *db.Tx) error {
		if b.d.Engine() == "postgres" { // the embedded one has a single writer anyway
			if err := tx.Exec("LOCK TABLE callbacks IN ACCESS EXCLUSIVE MODE").Error; err != nil {
				return err
			}
		}
		for n, cb := range all {
			answers[n] = make(chan error, 1)
			go func() { answers[n] <- b.Accept(ctx, channel.SMS, cb) }()
			require.Eventually(b.t, func() bool { return b.Waiting() == n }, 10*time.Second, time.Millisecond)
		}
		return nil
	})
	out := make([]error, len(all))
	for n := range answers {
		out[n] = <-answers[n]
	}
	return out
}

// texts are n callbacks about deliveries 1 to n.
func texts(n int) (out []channel.Callback) {
	for id := range int64(n) {
		out = append(out, twilio(id+1, status("delivered", "")))
	}
	return out
}

func TestWhoComesAtTheSameTimeSharesACommitAndAJob(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		require.NoError(t, d.GrowCallbacks(t.Context(), noon, 0))
		for _, err := range b.crowd(t.Context(), texts(30)) {
			require.NoError(t, err)
		}
		require.Equal(t, 30, b.count("callbacks"))
		require.Equal(t, 2, b.count("river_job"), "one for the first, one for those who waited")
		b.drain()
		require.Zero(t, b.count("callbacks WHERE applied_at IS NULL"))
	})
}

func TestNoCommitIsLargerThanItMayBe(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.crowd(t.Context(), texts(webhook.MostTogether+2))
	require.Equal(t, webhook.MostTogether+2, b.count("callbacks"))
	require.Equal(t, 3, b.count("river_job"))
}

// TestACallbackThatCannotBeStoredCostsOnlyItself has one among others that the
// database does not take.
func TestACallbackThatCannotBeStoredCostsOnlyItself(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		require.NoError(t, d.GrowCallbacks(t.Context(), noon, 0))
		b.tx(func(tx *db.Tx) error { return tx.Exec(refusing(d.Engine())).Error })
		for n, err := range b.crowd(t.Context(), texts(12)) {
			require.Equal(t, n == 6, err != nil, "callback %d: %v", n, err)
		}
		require.Equal(t, 11, b.count("callbacks"))
		b.drain()
		require.Zero(t, b.count("callbacks WHERE applied_at IS NULL"))
	})
}

// refusing makes the database refuse the callback about delivery 7.
func refusing(engine string) string {
	if engine == "postgres" {
		return "ALTER TABLE callbacks ADD CONSTRAINT odd CHECK (url NOT LIKE '%/7')"
	}
	return "CREATE TRIGGER odd BEFORE INSERT ON callbacks WHEN NEW.url LIKE '%/7' BEGIN SELECT RAISE(ABORT, 'odd'); END"
}

// TestWhoGoesAwayIsStoredAllTheSame ends the requests before their commit: what
// was taken in is stored, and nobody else is held up.
func TestWhoGoesAwayIsStoredAllTheSame(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		require.NoError(t, d.GrowCallbacks(t.Context(), noon, 0))
		ctx, leave := context.WithCancel(t.Context())
		leave()
		answers := b.crowd(ctx, texts(3))
		require.ErrorIs(t, errors.Join(answers...), context.Canceled)
		b.accept(channel.SMS, twilio(4, status("sent", "")))
		require.Equal(t, 4, b.count("callbacks"))
	})
}

// TestCallbacksOfTwoDaysMayComeTogether has midnight in the middle of a group,
// with no room made for either day.
func TestCallbacksOfTwoDaysMayComeTogether(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	b := setup(t, d)
	b.accept(channel.SMS, twilio(99, status("sent", ""))) // so that the table can be locked
	b.clock.Store(noon.Add(36*time.Hour - 3*time.Microsecond).UnixMicro())
	b.ticking = true
	for _, err := range b.crowd(t.Context(), texts(6)) {
		require.NoError(t, err)
	}
	require.Equal(t, 7, b.count("callbacks"))
	leaves, err := d.Leaves(t.Context(), "callbacks")
	require.NoError(t, err)
	require.Len(t, leaves, 3, fmt.Sprint(leaves))
}

// TestWhatMessengerSaysIsPassedOnOnceOrNotStored has another program that is to get
// every webhook, in the transaction that stores it.
func TestWhatMessengerSaysIsPassedOnOnceOrNotStored(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		var passed []channel.Callback
		broken := errors.New("no room")
		b.Relay = func(_ context.Context, _ *db.Tx, ids []uuid.UUID, callbacks []channel.Callback) error {
			if broken != nil && len(callbacks) > 0 {
				return broken
			}
			require.Len(t, ids, len(callbacks))
			passed = append(passed, callbacks...)
			return nil
		}
		cb := meta(b.read("message"))
		cb.Header["Content-Type"] = "application/json"
		require.ErrorIs(t, b.Accept(t.Context(), channel.Messenger, cb), broken)
		require.Zero(t, b.count("callbacks"))
		broken = nil
		b.accept(channel.Messenger, cb)
		b.accept(channel.Messenger, cb)
		b.accept(channel.SMS, twilio(1, status("sent", "")))
		require.Equal(t, []channel.Callback{cb}, passed)
	})
}

func TestCommitsHaveAPaceThatWhoComesAloneDoesNotFeel(t *testing.T) {
	t.Parallel()
	waits := webhook.Turns(100)
	for n, wait := range waits {
		if n < 20 {
			require.Zero(t, wait, "commit %d", n)
		} else {
			require.Equal(t, 20*time.Millisecond, wait, "commit %d", n)
		}
	}
}
