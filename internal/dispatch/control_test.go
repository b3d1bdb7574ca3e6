package dispatch_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
	"beckon/internal/simulator"
)

// working runs the queue until the test ends.
func (b *bundle) working(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.queue.Run(ctx, time.Minute) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

func (b *bundle) state(c campaign.Campaign) campaign.State {
	got, err := b.campaigns.Get(b.t.Context(), c.ID)
	require.NoError(b.t, err)
	return got.State
}

func (b *bundle) texted() int { return len(b.sim.AcceptedBy(simulator.Twilio)) }

// slow is a campaign by SMS that takes several seconds, with its first messages out.
func slow(t *testing.T, d *db.DB) (*bundle, campaign.Campaign) {
	b := setup(t, d, options{size: dispatch.Sizes{Page: 1000, Batch: 1000, Parallel: 1}})
	for range 600 {
		b.make(human{phone: "new"})
	}
	b.sim.SetFaults(simulator.Twilio, simulator.Faults{Latency: 400 * time.Millisecond})
	b.working(t)
	c := b.draft(nil)
	b.start(c)
	require.Eventually(t, func() bool { return b.texted() > 0 }, 20*time.Second, 10*time.Millisecond)
	return b, c
}

func TestAPausedCampaignSendsNothingNewUntilItIsResumed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b, c := slow(t, d)
		_, err := b.campaigns.Pause(t.Context(), c.ID)
		require.NoError(t, err)
		began := time.Now()
		require.Eventually(t, func() bool { return b.report(c).LinkBack.States[delivery.Sending] == 0 }, 10*time.Second, 10*time.Millisecond)
		t.Logf("the pause took effect within %v, in the middle of a batch", time.Since(began).Round(10*time.Millisecond))
		stood := b.texted()
		require.Less(t, stood, 600, "the pause came in the middle")
		require.Equal(t, stood, b.report(c).LinkBack.States[delivery.Accepted])
		require.Equal(t, campaign.Paused, b.state(c))

		b.sim.SetFaults(simulator.Twilio, simulator.Faults{})
		_, err = b.campaigns.Resume(t.Context(), c.ID)
		require.NoError(t, err)
		require.Equal(t, stood, b.texted(), "nothing went out while it was paused")
		require.Eventually(t, func() bool { b.advance(time.Second); return b.state(c) == campaign.Finished }, 30*time.Second, 50*time.Millisecond)
		require.Equal(t, 600, b.report(c).LinkBack.States[delivery.Accepted])
		b.onceEach()
	})
}

func TestACancelledCampaignEndsForGood(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b, c := slow(t, d)
		_, err := b.campaigns.Cancel(t.Context(), c.ID)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			b.advance(time.Second)
			s := b.report(c).LinkBack.States
			return s[delivery.Sending]+s[delivery.Pending] == 0
		}, 30*time.Second, 50*time.Millisecond)
		r := b.report(c).Lanes[channel.LaneSMS].States
		require.Equal(t, 600, r[delivery.Accepted]+r[delivery.Cancelled])
		require.Equal(t, b.texted(), r[delivery.Accepted])
		require.NotZero(t, r[delivery.Cancelled])
		require.Equal(t, campaign.Cancelled, b.state(c))
		b.onceEach()
	})
}

func TestACampaignPausedBeforePlanningIsPlannedAfterwards(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		for range 70 {
			b.make(human{email: "new"})
		}
		c := b.draft(nil)
		b.start(c)
		_, err := b.campaigns.Pause(t.Context(), c.ID)
		require.NoError(t, err)
		b.drain()
		require.Zero(t, b.report(c).Audience)
		_, err = b.campaigns.Resume(t.Context(), c.ID)
		require.NoError(t, err)
		b.drain()
		require.Equal(t, campaign.Finished, b.state(c))
		require.Equal(t, 70, b.report(c).LinkBack.States[delivery.Accepted])
	})
}

func TestWhatWasInFlightIsUnknownAlsoWhenTheCampaignWasCancelledMeanwhile(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{wrap: func(s channel.Sender) channel.Sender { return &cutOff{Sender: s, after: 2} }})
		for range 60 {
			b.make(human{tokens: 1})
		}
		c := b.draft(nil)
		b.start(c)
		require.Panics(t, func() { b.drain() })
		_, err := b.campaigns.Cancel(t.Context(), c.ID)
		require.NoError(t, err)
		b.tx(func(tx *db.Tx) error {
			return tx.Exec("UPDATE river_job SET state = 'available' WHERE state = 'running'").Error
		})
		b.drain()
		require.Equal(t, map[delivery.State]int{delivery.Accepted: 20, delivery.Unknown: 20, delivery.Cancelled: 20}, b.report(c).Lanes[channel.OneTime].States)
		var reserved int64
		require.NoError(t, d.Read(t.Context()).Raw("SELECT COUNT(*) FROM tokens WHERE status = 'reserved'").Row().Scan(&reserved))
		require.Zero(t, reserved)
	})
}
