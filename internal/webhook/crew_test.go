package webhook_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

// gathered has n jobs run at the same time: the first is held up in the middle of its
// work until the others wait for it.
func (b *bundle) gathered(n int) {
	b.t.Helper()
	held, once, find := make(chan struct{}), sync.Once{}, b.PageByGraph
	b.PageByGraph = func(ctx context.Context, ids []string) (map[string]uuid.UUID, error) {
		once.Do(func() { <-held })
		return find(ctx, ids)
	}
	ctx, stop := context.WithCancel(b.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = b.queue.Run(ctx, 20*time.Second) })
	require.Eventually(b.t, func() bool { return b.Queued() == n-1 }, 20*time.Second, time.Millisecond)
	close(held)
	require.Eventually(b.t, func() bool { return b.count("callbacks WHERE applied_at IS NULL") == 0 }, 20*time.Second, 10*time.Millisecond)
	stop()
	wg.Wait()
}

func TestOneJobDoesTheWorkOfThoseThatWait(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		var groups []int
		b.Listeners = append(b.Listeners, hears(func(h channel.Heard) { groups = append(groups, len(h.Events)) }))
		for i := range 6 {
			b.accept(channel.Messenger, meta(b.read("message", ann, fmt.Sprint("9300", i))))
		}
		b.gathered(6)
		require.Equal(t, []int{1, 5}, groups)
		require.Equal(t, 6, b.count("messenger_addresses WHERE last_action_at IS NOT NULL"))
		require.Zero(t, b.count("river_job WHERE kind = 'webhook.apply' AND state NOT IN ('completed', 'running')"))
	})
}

func TestAJobThatPanicsLeavesNobodyWaiting(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	var once sync.Once
	b.Listeners = append(b.Listeners, hears(func(h channel.Heard) {
		if len(h.Events) > 1 {
			once.Do(func() { panic("a fault of ours") })
		}
	}))
	for i := range 4 {
		b.accept(channel.Messenger, meta(b.read("message", ann, fmt.Sprint("9300", i))))
	}
	b.gathered(4)
	require.Equal(t, 4, b.count("messenger_addresses WHERE last_action_at IS NOT NULL"))
}

func TestWhatFailsTogetherIsLeftToEachJob(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for i := range 4 {
			b.accept(channel.Messenger, meta(b.read("message", ann, fmt.Sprint("9300", i))))
		}
		b.accept(channel.Messenger, meta(b.read("bad_among_good")))
		b.gathered(5)
		require.Equal(t, 1, b.count("callbacks WHERE problem LIKE 'Events that cannot be applied: 1.%'"))
		require.Equal(t, 5, b.count("messenger_addresses WHERE last_action_at IS NOT NULL"))
		require.NotContains(t, b.log.String(), "job failed")
	})
}

// hears is a listener made of a function.
type hears func(channel.Heard)

func (f hears) Hear(_ context.Context, _ *db.Tx, h channel.Heard) error { f(h); return nil }
