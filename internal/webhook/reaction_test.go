package webhook_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
)

// ear keeps the reactions it is told of.
type ear struct{ reactions []channel.Reaction }

func (e *ear) Hear(_ context.Context, _ *db.Tx, h channel.Heard) error {
	e.reactions = append(e.reactions, h.Reacted...)
	return nil
}

func TestListenersAreToldOfEachReactionOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b, e := setup(t, d), &ear{}
		b.Listeners = append(b.Listeners, e)
		of := func(id int64, who uuid.UUID) {
			t.Helper()
			got := b.get(id)
			require.Len(t, e.reactions, 1)
			require.Equal(t, id, e.reactions[0].Delivery)
			require.Equal(t, who, e.reactions[0].Contact)
			require.Equal(t, got.CampaignID, e.reactions[0].Campaign)
			require.False(t, e.reactions[0].At.IsZero())
			e.reactions = nil
		}
		who := b.known("crm-1", ann)
		written := b.sent(who, channel.Window, delivery.Accepted)
		b.take("message")
		of(written, who)
		b.take("quick_reply")
		require.Empty(t, e.reactions, "a second reply to the same message")

		other := b.known("crm-2", "")
		texted := b.sent(other, channel.LaneSMS, delivery.Accepted)
		b.take("referral", "PSID", ben, "CODE", b.codes.Code(texted))
		of(texted, other)
		b.take("start", "PSID", ben, "CODE", b.codes.Code(texted))
		require.Empty(t, e.reactions, "who is back already")
		b.again()
		require.Empty(t, e.reactions, "what is applied again is no news")
	})
}

// TestRepliesHeardTogetherAnswerEachItsOwnMessage has a person answer one message,
// get another, and answer that; both are heard of at once.
func TestRepliesHeardTogetherAnswerEachItsOwnMessage(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("crm-1", ann)
		first, second := b.sent(who, channel.Window, delivery.Accepted), b.sent(who, channel.Window, delivery.Accepted)
		b.tx(func(tx *db.Tx) error {
			return tx.Exec("UPDATE deliveries SET sent_at = ? WHERE id = ?", noon.Add(-10*time.Minute), second).Error
		})
		early, late := noon.Add(-30*time.Minute), noon.Add(-5*time.Minute)
		b.tx(func(tx *db.Tx) error {
			now, err := b.ledger.Replied(tx, []delivery.Reply{{Contact: who, At: late}, {Contact: who, At: early}})
			require.Len(t, now, 2)
			return err
		})
		require.WithinDuration(t, early, *b.get(first).RepliedAt, 0)
		require.WithinDuration(t, late, *b.get(second).RepliedAt, 0)
	})
}
