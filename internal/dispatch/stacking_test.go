package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/token"
)

// A person may give several permissions for one topic: each campaign uses one,
// the oldest first, and none that was taken back.
func TestStackedTokensGoOutOldestFirst(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		amy := b.make(human{psid: true})
		ages := []time.Duration{24 * time.Hour, 72 * time.Hour, time.Hour, 48 * time.Hour}
		grants := make([]token.Grant, len(ages))
		for i, age := range ages {
			grants[i] = token.Grant{ContactID: amy.id, PageID: b.page.ID, Topic: "courses", Source: token.FromWebhook,
				Value: b.sim.GrantToken(graphPage, amy.psid), GrantedAt: b.now().Add(-age)}
		}
		b.tx(func(tx *db.Tx) error {
			_, err := b.tokens.Grant(t.Context(), tx, grants)
			return err
		})
		oldest := func() token.Token {
			var first token.Token
			list, err := b.tokens.ListOf(t.Context(), amy.id)
			require.NoError(t, err)
			for _, x := range list[amy.id] {
				if x.Status == token.Available && (first.GrantedAt.IsZero() || x.GrantedAt.Before(first.GrantedAt)) {
					first = x
				}
			}
			return first
		}
		first := oldest()
		require.WithinDuration(t, b.now().Add(-72*time.Hour), first.GrantedAt, time.Millisecond)
		b.tx(func(tx *db.Tx) error { return b.tokens.Revoke(t.Context(), tx, amy.id, first.ID) })
		for left := 2; left >= 0; left-- {
			next := oldest()
			c := b.draft(nil)
			b.sendOut(c)
			got, _ := b.of(c, amy)
			require.Equal(t, channel.OneTime, got.Lane)
			spent, err := b.tokens.Get(t.Context(), amy.id, next.ID)
			require.NoError(t, err)
			require.Equal(t, token.Spent, spent.Status)
			require.Equal(t, left, b.tokenStates(amy)[token.Available])
		}
		c := b.draft(nil)
		b.sendOut(c)
		got, _ := b.of(c, amy)
		require.Empty(t, got.Lane, "none is left")
		require.Equal(t, map[token.Status]int{token.Spent: 3, token.Void: 1}, b.tokenStates(amy))
	})
}
