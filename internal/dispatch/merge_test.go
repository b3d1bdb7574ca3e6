package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
)

// Whoever has a place already when the plan comes to them, because a contact
// planned before was merged into theirs, keeps that one; the plan goes on.
func TestAPlanPassesOverWhoGotAPlaceByAMerge(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		gone, merged, other := b.make(human{email: "new"}), b.make(human{email: "new"}), b.make(human{email: "new"})
		c := b.draft(nil)
		b.start(c)
		b.tx(func(tx *db.Tx) error {
			if _, err := b.ledger.Write(tx, c.ID, []delivery.Place{{Contact: merged.id, Lane: channel.LaneEmail, Expired: true}}); err != nil {
				return err
			}
			return tx.Exec("UPDATE campaigns SET planned_to = ? WHERE id = ?", gone.id, c.ID).Error
		})
		b.drain()
		require.Equal(t, campaign.Finished, b.state(c))
		kept, _ := b.of(c, merged)
		require.Equal(t, delivery.Expired, kept.State)
		sent, _ := b.of(c, other)
		require.Equal(t, delivery.Accepted, sent.State)
	})
}

func TestAnEscalationPassesOverWhoGotAPlaceByAMerge(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := early(t, d)
		merged, other := b.make(human{window: true, phone: "new"}), b.make(human{window: true, phone: "new"})
		c := b.escalating(nil)
		b.start(c)
		b.drain()
		b.tx(func(tx *db.Tx) error {
			_, err := b.ledger.Write(tx, b.escalation(c).ID, []delivery.Place{{Contact: merged.id, Lane: channel.LaneSMS, Expired: true}})
			return err
		})
		b.pass(72 * time.Hour)
		require.Empty(t, b.sim.Texts(merged.phone))
		require.Len(t, b.sim.Texts(other.phone), 1)
		require.Equal(t, campaign.Finished, b.state(c))
	})
}
