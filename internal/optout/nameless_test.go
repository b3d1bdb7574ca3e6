package optout_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

// delivered writes down that a message went to somebody, and returns its number.
func (b *bundle) delivered(id int64, to uuid.UUID) int64 {
	b.t.Helper()
	campaign := db.IDAt(b.clock)
	require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) error {
		if err := tx.GrowLedger(1, 10, 10); err != nil {
			return err
		}
		return tx.Exec("INSERT INTO deliveries (id, campaign_id, contact_id, lane, state, created_at) VALUES (?, ?, ?, 'email', 'accepted', ?)", id, campaign, to, b.clock).Error
	}))
	return id
}

// TestAComplaintWithoutAnAddressIsHeededByItsMessage: who complained is whom the
// message was for, and nobody else is silenced.
func TestAComplaintWithoutAnAddressIsHeededByItsMessage(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, false)
		b.subscribed("ben", "+447700900124", "ben@example.com")
		id := b.delivered(1, b.amy)
		complaint := channel.Event{Kind: channel.EventStop, Reason: channel.ByComplaint, Delivery: id, At: noon.Add(time.Minute)}
		unknown := channel.Event{Kind: channel.EventStop, Reason: channel.ByComplaint, Delivery: id + 1, At: noon.Add(time.Minute)}
		for range 2 {
			events := []channel.Event{complaint, unknown}
			b.hear(channel.Email, events...)
			require.Empty(t, events[0].Address, "what came is not changed")
		}
		require.Equal(t, [2]string{contact.Subscribed, contact.Unsubscribed}, b.consents())
		require.True(t, b.silent(channel.Email, mail))
		require.False(t, b.silent(channel.Email, "ben@example.com"))
		require.Equal(t, []string{"contact.opted_out email complaint"}, b.told())
	})
}
