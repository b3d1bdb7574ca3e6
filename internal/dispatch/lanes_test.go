package dispatch_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/page"
	"beckon/internal/route"
	"beckon/internal/simulator"
	"beckon/internal/token"
)

// by lets a campaign take lanes in an order.
func by(lanes ...channel.Lane) func(*campaign.Patch) {
	return func(p *campaign.Patch) {
		allLanes(p)
		p.Route = &lanes
		if !slices.Contains(lanes, channel.Utility) {
			p.Content.Utility = nil
		}
	}
}

func (b *bundle) permits(who made) []token.RecurringToken {
	b.t.Helper()
	of, err := b.tokens.RecurringOf(b.t.Context(), who.id)
	require.NoError(b.t, err)
	return of[who.id]
}

func TestRecurringTokenCarriesOneMessageInTwoDays(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		who, talking, nobody := b.make(human{permit: true, email: "new"}), b.make(human{permit: true, window: true}), b.make(human{psid: true})
		take := by(channel.Window, channel.Recurring, channel.LaneEmail)
		first := b.draft(take)
		p, err := b.engine.Preview(t.Context(), first)
		require.NoError(t, err)
		require.Equal(t, map[channel.Lane]int{channel.Window: 1, channel.Recurring: 1}, p.Lanes)
		require.Equal(t, map[route.Reason]int{route.NoToken: 1}, p.Reasons)

		r := b.sendOut(first)
		require.Equal(t, 2, r.Messenger.Total)
		got, attempts := b.of(first, who)
		require.Equal(t, []any{channel.Recurring, delivery.Accepted}, []any{got.Lane, got.State})
		require.Len(t, attempts, 1)
		require.True(t, b.sim.Received(graphPage, who.psid)[0].ByToken)
		got, _ = b.of(first, talking)
		require.Equal(t, channel.Window, got.Lane, "who can be written to for free keeps the token rested")
		require.False(t, b.permits(talking)[0].EligibleAt.After(b.now()))
		got, _ = b.of(first, nobody)
		require.Equal(t, delivery.Unreachable, got.State)

		second := b.draft(take)
		b.sendOut(second)
		got, _ = b.of(second, who)
		require.Equal(t, channel.LaneEmail, got.Lane)
		reach, err := b.engine.Reach(t.Context(), who.id, b.page.ID, "courses")
		require.NoError(t, err)
		require.Equal(t, route.TooSoon, reach[channel.Recurring].Why())
		require.Equal(t, route.NotTransactional, reach[channel.Utility].Why())

		b.advance(token.Rest)
		third := b.draft(take)
		b.sendOut(third)
		got, _ = b.of(third, who)
		require.Equal(t, channel.Recurring, got.Lane)
		require.Len(t, b.sim.Received(graphPage, who.psid), 2)
	})
}

func TestWhatMetaSaysOfARecurringTokenCounts(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		fine, stopped, dead, used := b.make(human{permit: true, email: "new"}), b.make(human{permit: true, email: "new"}), b.make(human{permit: true, email: "new"}), b.make(human{permit: true, email: "new"})
		b.sim.Refuse(simulator.Graph, stopped.psid, "10/1893015")
		b.sim.Refuse(simulator.Graph, dead.psid, "100")
		b.sim.Refuse(simulator.Graph, used.psid, "4/2018354")
		c := b.draft(by(channel.Recurring, channel.LaneEmail))
		b.sendOut(c)
		for who, want := range map[made]struct {
			lane   channel.Lane
			status token.RecurringStatus
		}{fine: {channel.Recurring, token.Live}, stopped: {channel.LaneEmail, token.Stopped}, dead: {channel.LaneEmail, token.Invalid}, used: {channel.LaneEmail, token.Live}} {
			got, _ := b.of(c, who)
			require.Equal(t, want.lane, got.Lane)
			require.Equal(t, want.status, b.permits(who)[0].Status)
		}
		require.True(t, b.permits(used)[0].EligibleAt.After(b.now()), "somebody else used it: it is left to rest")
		reach, err := b.engine.Reach(t.Context(), stopped.id, b.page.ID, "courses")
		require.NoError(t, err)
		require.Equal(t, route.OptedOut, reach[channel.Recurring].Why())
	})
}

func TestUtilityGoesOutByTheTemplateThatMetaApproved(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		b.template(channel.TemplateApproved)
		who, byMail := b.make(human{psid: true}), b.make(human{email: "new"})
		c := b.draft(by(channel.Utility, channel.LaneEmail))
		p, err := b.engine.Preview(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, map[channel.Lane]int{channel.Utility: 1, channel.LaneEmail: 1}, p.Lanes)
		b.sendOut(c)
		got, _ := b.of(c, who)
		require.Equal(t, []any{channel.Utility, delivery.Accepted}, []any{got.Lane, got.State})
		got, _ = b.of(c, byMail)
		require.Equal(t, channel.LaneEmail, got.Lane)

		var sent struct{ Template json.RawMessage }
		require.NoError(t, json.Unmarshal(b.sim.Received(graphPage, who.psid)[0].Raw, &sent))
		require.JSONEq(t, `{"name":"visit","language":{"code":"en"},"components":[
			{"type":"body","parameters":[{"type":"text","parameter_name":"day","text":"Monday"},{"type":"text","parameter_name":"name","text":"Amy"}]},
			{"type":"buttons","parameters":[{"type":"POSTBACK","payload":"FINE"}]}]}`, string(sent.Template))
	})
}

// TestUtilityIsClosedUnlessApproved also takes the approval away between
// planning and sending.
func TestUtilityIsClosedUnlessApproved(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		b.template("pending")
		who := b.make(human{psid: true, email: "new"})
		status := func(to string) {
			b.tx(func(tx *db.Tx) error { return tx.Exec("UPDATE message_templates SET status = ?", to).Error })
		}
		c := b.draft(by(channel.Utility))
		require.Equal(t, map[route.Reason]int{route.TemplateNotApproved: 1}, b.sendOut(c).Reasons)

		status(channel.TemplateApproved)
		c = b.draft(by(channel.Utility, channel.LaneEmail))
		b.start(c)
		require.NoError(t, b.engine.PlanNow(t.Context(), c.ID))
		status("paused")
		b.drain()
		got, _ := b.of(c, who)
		require.Equal(t, channel.LaneEmail, got.Lane)

		status(channel.TemplateApproved)
		b.off(page.Utility)
		c = b.draft(by(channel.Utility, channel.LaneEmail))
		b.sendOut(c)
		got, _ = b.of(c, who)
		require.Equal(t, channel.LaneEmail, got.Lane)
		require.Empty(t, b.sim.Received(graphPage, who.psid))
	})
}

func (b *bundle) off(name page.Capability) { b.learn(name, page.Off) }

func (b *bundle) learn(name page.Capability, state page.State) {
	b.tx(func(tx *db.Tx) error { return page.Learn(tx, b.page.ID, name, state, page.ByGraph, b.now()) })
}

func TestPageWhereRecurringIsOffTouchesNoToken(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		who, alone := b.make(human{permit: true, email: "new"}), b.make(human{permit: true})
		b.off(page.Recurring)
		c := b.draft(by(channel.Recurring, channel.LaneEmail))
		r := b.sendOut(c)
		require.Equal(t, map[route.Reason]int{route.CapabilityOff: 1}, r.Reasons)
		got, _ := b.of(c, who)
		require.Equal(t, channel.LaneEmail, got.Lane)
		for _, m := range []made{who, alone} {
			require.Equal(t, token.Live, b.permits(m)[0].Status)
			require.False(t, b.permits(m)[0].EligibleAt.After(b.now()))
		}
	})
}

// mortal is a sender whose node dies in the first call.
type mortal struct {
	channel.Sender
	calls *int
}

func (s mortal) Send(ctx context.Context, batch channel.Batch) []channel.Result {
	if *s.calls++; *s.calls == 1 {
		panic(errKilled)
	}
	return s.Sender.Send(ctx, batch)
}

func TestRecurringTokenRestsWhenTheNodeDies(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		calls := 0
		b := setup(t, d, options{wrap: func(s channel.Sender) channel.Sender { return mortal{s, &calls} }})
		who := b.make(human{permit: true})
		c := b.draft(by(channel.Recurring))
		b.start(c)
		require.PanicsWithError(t, errKilled.Error(), func() { _ = b.queue.Drain(t.Context(), b.now()) })
		require.True(t, b.permits(who)[0].EligibleAt.After(b.now().Add(token.Rest-time.Minute)), "from before the call")
		b.tx(func(tx *db.Tx) error {
			return tx.Exec("UPDATE river_job SET state = 'available' WHERE state = 'running'").Error
		})
		b.drain()
		got, _ := b.of(c, who)
		require.Equal(t, delivery.Unknown, got.State)
		require.Nil(t, b.permits(who)[0].HeldBy)
		require.True(t, b.permits(who)[0].EligibleAt.After(b.now()), "it may have gone out")
	})
}
