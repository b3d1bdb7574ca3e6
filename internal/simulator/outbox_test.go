package simulator

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"
)

func TestOutboxPostsEverythingOnceInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		batch := rapid.IntRange(1, 7).Draw(t, "batch")
		var got []int
		o := newOutbox(batch, 1, 0, func(_ context.Context, items []int) error {
			require.LessOrEqual(t, len(items), batch)
			got = append(got, items...)
			return nil
		})
		var want []int
		for i, n := range rapid.SliceOf(rapid.IntRange(0, 9)).Draw(t, "puts") {
			for range n {
				want = append(want, len(want))
				o.put(len(want) - 1)
			}
			if i%3 == 0 {
				require.NoError(t, o.drain(context.Background()))
			}
		}
		require.NoError(t, o.drain(context.Background()))
		require.Equal(t, want, got)
		require.Equal(t, CallbackCount{Posted: int64(len(want))}, o.count())
	})
}

func TestOutboxWorkersAndDrainShareTheWork(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []int
	o := newOutbox(3, 4, time.Microsecond, func(_ context.Context, items []int) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, items...)
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	g, ctx := errgroup.WithContext(ctx)
	o.run(ctx, g)
	for i := range 1000 {
		o.put(i)
	}
	require.NoError(t, o.drain(ctx))
	slices.Sort(got)
	require.Len(t, slices.Compact(got), 1000)
	cancel()
	require.NoError(t, g.Wait())
	require.ErrorIs(t, o.drain(ctx), context.Canceled)
}

func TestOutboxCountsWhatIsLost(t *testing.T) {
	t.Parallel()
	o := newOutbox(2, 1, 0, func(context.Context, []int) error { return errors.New("no") })
	o.put(1, 2, 3)
	require.ErrorContains(t, o.drain(t.Context()), "no")
	o.put(make([]int, maxQueued+1)...)
	require.Equal(t, CallbackCount{Lost: maxQueued + 4}, o.count())
}

func TestReceiptsFollowAcceptance(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Receipts.ReadShare, c.AppID = 1, "an-app" })
	b.sim.AddPeople(testPage, 1)
	b.graph(t, toPSID("psid-1", `{"text":"hello","metadata":"d17"}`))
	mid := b.sim.Received(testPage, "psid-1")[0].MID
	drain(t, b.sim)
	events := messaging(t, b.bot.take())
	require.Len(t, events, 3)
	require.Equal(t, map[string]any{"id": testPage}, events[0]["sender"])
	require.Equal(t, map[string]any{
		"mid": mid, "is_echo": true, "app_id": "an-app", "metadata": "d17", "text": "hello",
	}, events[0]["message"])
	require.Equal(t, []any{mid}, events[1]["delivery"].(map[string]any)["mids"])
	require.NotNil(t, events[2]["read"])
}

func TestReceiptsAreRepeatedSharedAndRetried(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 1)
	b.sim.SetFaults(Graph, Faults{DuplicateCallbacks: 1})
	for range 20 {
		require.Equal(t, http.StatusOK, b.graph(t, toPSID("psid-1", `{"text":"x"}`)).status)
	}
	drain(t, b.sim)
	calls := b.bot.take()
	require.Len(t, calls, 2, "80 events in bodies of 50")
	require.Len(t, messaging(t, calls), 80)
	require.Equal(t, int64(80), b.sim.Counts()[Graph].Callbacks.Posted)

	b.bot.answer(http.StatusServiceUnavailable)
	b.graph(t, toPSID("psid-1", `{"text":"x"}`))
	require.Error(t, b.sim.Drain(t.Context()))
	require.Len(t, b.bot.take(), 9, "a try and eight retries")
	require.Equal(t, int64(4), b.sim.Counts()[Graph].Callbacks.Lost)
}

func TestRetriesCanBeSetForAll(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Receipts.Retries = 2 })
	b.bot.answer(http.StatusServiceUnavailable)
	require.Equal(t, http.StatusCreated, b.twilio(t, url.Values{"StatusCallback": {b.bot.URL + "/s"}}).status)
	require.Error(t, b.sim.Drain(t.Context()))
	require.Len(t, b.bot.take(), 6)
}

func TestNoReceiptsWhenOffOrNowhereToSend(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"off":    func(c *Config) { c.Receipts.Off = true },
		"no URL": func(c *Config) { c.CallbackURL = "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, change)
			for _, send := range b.sends(t) {
				require.Less(t, b.do(t, send()).status, 300)
			}
			b.twilio(t, url.Values{"StatusCallback": {b.bot.URL + "/s"}})
			drain(t, b.sim)
			require.Empty(t, b.bot.take())
		})
	}
}

func TestRunPostsByItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.sim.Run(ctx) }()
	for _, send := range b.sends(t) {
		require.Less(t, b.do(t, send()).status, 300)
	}
	require.Eventually(t, func() bool {
		c := b.sim.Counts()
		return c[Graph].Callbacks.Posted == 2 && c[SendGrid].Callbacks.Posted == 2
	}, 10*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}

func TestPauseAndRetryEndWithTheContext(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Receipts.Backoff = time.Hour })
	b.bot.answer(http.StatusServiceUnavailable)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := b.sim.post(ctx, b.sim.graph.webhook([]Event{{Kind: Said, Page: testPage, PSID: "p"}}))
	require.ErrorContains(t, err, "answered 503")
	require.NoError(t, errors.Unwrap(err))
	err = b.sim.post(ctx, &callback{provider: Graph, url: "http://\x7f"})
	require.Error(t, err)
	require.Error(t, errors.Unwrap(err))
}
