package token_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/token"
)

func TestAThreadThatAnotherAppTurnsOutToHoldIsTold(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := inWindow(t, d)
		var told []string
		k.service = token.NewService(k.store, token.Options{Pages: pages{k.page}, Asker: k.m,
			Held: func(_ context.Context, _ *db.Tx, page uuid.UUID, psids ...string) error {
				require.Equal(t, k.page, page)
				told = append(told, psids...)
				return nil
			}})
		k.m.answer = channel.Result{Outcome: channel.TryLater, Code: "4"}
		_, err := k.service.Ask(t.Context(), k.ask)
		require.NoError(t, err)
		require.Empty(t, told)
		k.m.answer = channel.Result{Outcome: channel.TryLater, Code: "10/2018300", Elsewhere: true}
		r, err := k.service.Ask(t.Context(), k.ask)
		require.NoError(t, err)
		require.Equal(t, token.Failed, r.State, "it did not go out, and can be asked again")
		require.Equal(t, []string{"77"}, told)
	})
}
