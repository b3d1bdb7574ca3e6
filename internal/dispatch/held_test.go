package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/route"
	"beckon/internal/token"
)

func (b *bundle) hold(who made) {
	b.t.Helper()
	b.tx(func(tx *db.Tx) error { return b.contacts.HoldThreads(b.t.Context(), tx, b.page.ID, who.psid) })
}

func TestNobodyIsWrittenToInAThreadThatAnotherAppHolds(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		talking := b.make(human{window: true, tokens: 1, phone: "new"})
		alone := b.make(human{tokens: 1})
		free := b.make(human{window: true})
		b.hold(talking)
		b.hold(alone)

		reach, err := b.engine.Reach(t.Context(), talking.id, b.page.ID, "courses")
		require.NoError(t, err)
		require.Equal(t, route.ThreadHeld, reach[channel.Window].Why())
		require.Equal(t, route.ThreadHeld, reach[channel.OneTime].Why())
		require.True(t, reach[channel.LaneSMS].Reachable())
		c := b.draft(nil)
		p, err := b.engine.Preview(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, map[route.Reason]int{route.ThreadHeld: 1}, p.Reasons)

		r := b.sendOut(c)
		require.Equal(t, p.Reasons, r.Reasons)
		got, _ := b.of(c, talking)
		require.Equal(t, channel.LaneSMS, got.Lane)
		got, _ = b.of(c, alone)
		require.Equal(t, delivery.Unreachable, got.State)
		got, _ = b.of(c, free)
		require.Equal(t, channel.Window, got.Lane)
		require.Equal(t, map[token.Status]int{token.Available: 1}, b.tokenStates(alone))
	})
}

// TestAThreadThatWasTakenMeanwhile is taken between planning and sending.
func TestAThreadThatWasTakenMeanwhile(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		who := b.make(human{window: true, email: "new"})
		c := b.draft(nil)
		b.start(c)
		b.hold(who)
		b.drain()
		got, attempts := b.of(c, who)
		require.Equal(t, channel.LaneEmail, got.Lane)
		require.Len(t, attempts, 1)
	})
}

// TestGraphTellsThatAThreadIsHeld has another app take the thread unheard: the
// message is refused, and the person is left alone from then on.
func TestGraphTellsThatAThreadIsHeld(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		who := b.make(human{window: true, tokens: 1, phone: "new"})
		_ = b.sim.HandOver(t.Context(), graphPage, who.psid, "200200") // nobody is there to be told
		c := b.draft(nil)
		b.start(c)
		b.drain()
		got, _ := b.of(c, who)
		require.Equal(t, delivery.Pending, got.State, "the other app may be done in a moment")
		at, err := b.contacts.Addresses(t.Context(), who.id)
		require.NoError(t, err)
		require.True(t, at[who.id][0].Held(b.now()))

		b.advance(11 * time.Minute)
		b.drain()
		got, _ = b.of(c, who)
		require.Equal(t, channel.LaneSMS, got.Lane)
		require.Equal(t, delivery.Accepted, got.State)
		require.Equal(t, map[token.Status]int{token.Available: 1}, b.tokenStates(who))
	})
}
