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
	now   func() time.Time
}

func (n noted) Send(ctx context.Context, b channel.Batch) []channel.Result {
	n.mu.Lock()
	for _, m := range b.Messages {
		if b.Lane == channel.LaneSMS {
			*n.valid = append(*n.valid, m.ValidUntil.Sub(n.now()))
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
	var b *bundle
	b = setup(t, d, options{wrap: func(s channel.Sender) channel.Sender {
		return noted{s, &mu, &told, func() time.Time { return b.now() }}
	}})
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

// A text that has to wait for its turn until the evening is no text any more: the
// moment at which it is handed over counts, not that at which its chunk began.
func TestATextWhoseTurnComesTooLateWaitsForTheMorning(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var b *bundle
		slow := func(s channel.Sender) channel.Sender { return inTurn{s, func() { b.advance(7 * time.Second) }} }
		b = setup(t, d, options{wrap: slow})
		b.clock.Store(monday.Truncate(24 * time.Hour).Add(20*time.Hour - 31*time.Second).UnixMicro())
		for range 6 {
			b.make(human{phone: "new"})
		}
		c := b.draft(byDay)
		b.start(c)
		b.drain()
		require.Equal(t, 3, b.texted(), "at 24, 17 and 10 seconds before eight")
		b.advance(time.Second)
		b.drain()
		require.Equal(t, map[delivery.State]int{delivery.Accepted: 3, delivery.Held: 3}, b.report(c).LinkBack.States)
		b.advance(13 * time.Hour)
		b.drain()
		require.Equal(t, 6, b.texted())
		b.onceEach()
	})
}

// inTurn hands texts over one after the other, each after a while.
type inTurn struct {
	channel.Sender
	wait func()
}

func (s inTurn) Send(ctx context.Context, b channel.Batch) []channel.Result {
	out := make([]channel.Result, len(b.Messages))
	for i := range b.Messages {
		s.wait()
		one := b
		one.Messages, one.Silenced = b.Messages[i:i+1], func(int) bool { return b.Silent(i) }
		out[i] = s.Sender.Send(ctx, one)[0]
	}
	return out
}
