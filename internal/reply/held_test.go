package reply_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

func TestAThreadThatAnotherAppTurnsOutToHoldIsTold(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, 0)
		var told []string
		b.Held = func(_ context.Context, _ *db.Tx, page uuid.UUID, psids ...string) error {
			require.Equal(t, b.page.ID, page)
			told = append(told, psids...)
			return nil
		}
		b.say()
		b.outcome = channel.Result{Outcome: channel.TryLater}
		b.say()
		require.Empty(t, told)
		b.outcome.Elsewhere = true
		b.say()
		require.Equal(t, []string{"77"}, told)
		_, err := b.Say(t.Context(), b.page.ID, channel.OneTime, channel.Message{Token: "otn"})
		require.NoError(t, err)
		require.Len(t, told, 1, "a token does not say whose it is")
		b.Held = nil
		require.True(t, b.say().Elsewhere)
	})
}
