package dispatch_test

import (
	"context"
	"sync"
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

// noted passes messages on and keeps how long the texts among them may take.
type noted struct {
	channel.Sender
	mu    *sync.Mutex
	valid *[]time.Duration
}

func (n noted) Send(ctx context.Context, b channel.Batch) []channel.Result {
	n.mu.Lock()
	for _, m := range b.Messages {
		if b.Lane == channel.LaneSMS {
			*n.valid = append(*n.valid, m.ValidFor)
		}
	}
	n.mu.Unlock()
	return n.Sender.Send(ctx, b)
}

// eveningOf is a bundle in London at that hour, with what Twilio was told of how
// long texts may take.
func eveningOf(t *testing.T, d *db.DB, hour time.Duration) (*bundle, func() []time.Duration) {
	t.Helper()
	var mu sync.Mutex
	var told []time.Duration
	b := setup(t, d, options{wrap: func(s channel.Sender) channel.Sender { return noted{s, &mu, &told} }})
	b.clock.Store(monday.Truncate(24 * time.Hour).Add(hour).UnixMicro())
	return b, func() []time.Duration { mu.Lock(); defer mu.Unlock(); return told }
}

func TestABatchThatComesTooLateWaitsForTheMorning(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b, told := eveningOf(t, d, 19*time.Hour+50*time.Minute)
		for range 30 {
			b.make(human{phone: "new"})
		}
		c := b.draft(byDay)
		b.start(c)
		require.NoError(t, b.engine.PlanNow(t.Context(), c.ID))
		require.Equal(t, 30, b.report(c).LinkBack.States[delivery.Pending])
		b.advance(10 * time.Minute)
		b.drain()
		require.Equal(t, 30, b.report(c).LinkBack.States[delivery.Held], "it is 20:00 by now")
		require.Zero(t, b.texted())
		b.advance(13*time.Hour - time.Second)
		b.drain()
		require.Zero(t, b.texted())
		b.advance(time.Second)
		b.drain()
		require.Equal(t, 30, b.report(c).LinkBack.States[delivery.Accepted])
		require.Equal(t, campaign.Finished, b.state(c))
		for _, left := range told() {
			require.Equal(t, 11*time.Hour, left, "Twilio must not hand it over after 20:00")
		}
		b.onceEach()
	})
}

func TestAFallThroughAtNightWaitsForTheMorning(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b, told := eveningOf(t, d, 22*time.Hour)
		who := b.make(human{tokens: 1, phone: "new"})
		b.sim.Refuse(simulator.Graph, who.psid, "100")
		deadline := b.now().Add(12 * time.Hour)
		c := b.draft(func(p *campaign.Patch) { byDay(p); p.EndsAt = &deadline })
		b.start(c)
		b.drain()
		require.Equal(t, b.now().Add(11*time.Hour), b.heldUntil(c, who))
		got, attempts := b.of(c, who)
		require.Equal(t, channel.LaneSMS, got.Lane)
		require.Equal(t, []channel.Outcome{channel.TokenDead}, outcomes(attempts))
		b.advance(11 * time.Hour)
		b.drain()
		got, _ = b.of(c, who)
		require.Equal(t, delivery.Accepted, got.State)
		require.Equal(t, []time.Duration{time.Hour}, told(), "and not after the deadline")
	})
}

func TestNobodyFallsThroughAfterTheDeadline(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := early(t, d)
		bounced, last := b.make(human{phone: "new", email: "new"}), b.make(human{phone: "new"})
		c := b.ending(nil)
		b.start(c)
		b.drain()
		b.advance(time.Hour)
		for _, who := range []made{bounced, last} {
			got, _ := b.of(c, who)
			word := dispatch.Word{Delivery: got.ID, Result: channel.Result{Outcome: channel.Gone, Code: "30003"}}
			require.NoError(t, b.engine.Late(t.Context(), channel.SMS, []dispatch.Word{word}))
		}
		b.drain()
		got, _ := b.of(c, bounced)
		require.Equal(t, delivery.Expired, got.State)
		require.Equal(t, channel.LaneSMS, got.Lane)
		got, _ = b.of(c, last)
		require.Equal(t, delivery.Failed, got.State, "there was no other lane")
		require.Empty(t, b.sim.Mail(bounced.email))
	})
}

func TestACancelledCampaignHoldsNobody(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := early(t, d)
		for range 70 {
			b.make(human{phone: "new"})
		}
		c := b.draft(byDay)
		b.start(c)
		b.drain()
		require.Equal(t, 70, b.report(c).LinkBack.States[delivery.Held])
		_, err := b.campaigns.Cancel(t.Context(), c.ID)
		require.NoError(t, err)
		b.drain()
		require.Equal(t, map[delivery.State]int{delivery.Cancelled: 70}, b.report(c).LinkBack.States)
		b.advance(24 * time.Hour)
		b.drain()
		require.Zero(t, b.texted())
	})
}
