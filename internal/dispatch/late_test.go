package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
)

// A provider takes a text, and tells by callback that it was not sent after all
// for a reason that passes, or that lies with the sender: the text waits, and
// somebody has the work of sending it.
func TestWhatWasTakenAndNotSentAfterAllGoesOutLater(t *testing.T) {
	t.Parallel()
	for name, word := range map[string]channel.Result{
		"it may work later":             {Outcome: channel.TryLater, Code: "30001"},
		"the sender cannot be used now": {Outcome: channel.StopTheLine, Code: "30034"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d, options{})
				who := b.make(human{phone: "new"})
				c := b.draft(nil)
				b.sendOut(c)
				row, _ := b.of(c, who)
				told := []dispatch.Word{{Delivery: row.ID, Result: word}}
				require.NoError(t, b.engine.Late(t.Context(), channel.SMS, told))
				require.NoError(t, b.engine.Late(t.Context(), channel.SMS, told), "once more")
				waits, _ := b.of(c, who)
				require.Equal(t, delivery.Pending, waits.State)
				b.resumed()
				b.advance(10 * time.Second)
				b.drain()
				got, _ := b.of(c, who)
				require.Equal(t, delivery.Accepted, got.State)
				require.Len(t, b.sim.Texts(who.phone), 2)
			})
		})
	}
}
