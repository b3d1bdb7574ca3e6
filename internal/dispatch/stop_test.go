package dispatch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/route"
	"beckon/internal/token"
)

// says notes a person's word about being written to in Messenger.
func (b *bundle) says(who made, stop bool) {
	b.t.Helper()
	b.tx(func(tx *db.Tx) error {
		return tx.Exec(`INSERT INTO stops (page_id, contact_id, stopped, at) VALUES (?, ?, ?, ?)
			ON CONFLICT (page_id, contact_id) DO UPDATE SET stopped = excluded.stopped`, b.page.ID, who.id, stop, b.now()).Error
	})
}

func TestWhoSaidStopInMessengerIsNotWrittenToThere(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		stopped := b.make(human{window: true, tokens: 1, phone: "new"})
		silent := b.make(human{tokens: 1})
		again := b.make(human{window: true})
		b.says(stopped, true)
		b.says(silent, true)
		b.says(again, true)
		b.says(again, false)

		c := b.draft(nil)
		p, err := b.engine.Preview(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, map[route.Reason]int{route.OptedOut: 1}, p.Reasons)
		require.Equal(t, p.Reasons, b.sendOut(c).Reasons)
		got, _ := b.of(c, stopped)
		require.Equal(t, channel.LaneSMS, got.Lane)
		got, _ = b.of(c, silent)
		require.Equal(t, delivery.Unreachable, got.State)
		require.Equal(t, map[token.Status]int{token.Available: 1}, b.tokenStates(silent))
		got, _ = b.of(c, again)
		require.Equal(t, channel.Window, got.Lane)
	})
}

// A stop between planning and sending counts.
func TestWhoSaysStopMeanwhileIsNotWrittenToThere(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		who := b.make(human{window: true, email: "new"})
		c := b.draft(nil)
		b.start(c)
		b.says(who, true)
		b.drain()
		got, attempts := b.of(c, who)
		require.Equal(t, channel.LaneEmail, got.Lane)
		require.Len(t, attempts, 1)
	})
}
