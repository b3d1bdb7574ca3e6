package token_test

import (
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/event"
	"beckon/internal/fault"
	"beckon/internal/queue"
	"beckon/internal/token"
)

// told returns the tokens that events of a type tell of, in order.
func (b *bundle) told(t *testing.T, what event.Type) []uuid.UUID {
	t.Helper()
	var data []string
	require.NoError(t, b.d.Read(t.Context()).Raw("SELECT data FROM events WHERE type = ? AND page_id = ? AND contact_id = ? ORDER BY id", what, b.page, b.contact).Scan(&data).Error)
	ids := []uuid.UUID{}
	for _, d := range data {
		var of struct {
			TokenID   uuid.UUID `json:"token_id"`
			Topic     string    `json:"topic"`
			ExpiresAt time.Time `json:"expires_at"`
		}
		require.NoError(t, json.Unmarshal([]byte(d), &of))
		require.Equal(t, "courses", of.Topic)
		require.False(t, of.ExpiresAt.IsZero())
		ids = append(ids, of.TokenID)
	}
	return ids
}

// hourly runs the job that Register adds.
func (b *bundle) hourly(t *testing.T, o token.Options) (run func()) {
	t.Helper()
	q := queue.New(b.d, slog.New(slog.DiscardHandler))
	token.NewService(b.store, o).Register(q)
	require.NoError(t, q.Open())
	return func() {
		t.Helper()
		require.NoError(t, b.d.Transact(t.Context(), func(tx *db.Tx) error {
			return q.Insert(t.Context(), tx, queue.Order{Args: token.Expiry{}})
		}))
		require.NoError(t, q.Drain(t.Context(), time.Now()))
	}
}

func TestEveryStepOfATokenIsToldOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		run := b.hourly(t, token.Options{Notice: 30 * 24 * time.Hour})
		ids := slices.Collect(maps.Values(b.granted(t, 3)))
		require.ElementsMatch(t, ids, b.told(t, event.TokenGranted))
		_, err := b.grant(t, b.permission("old"))
		require.NoError(t, err)
		old := b.permission("very old")
		old.GrantedAt = b.now.AddDate(-1, 0, -1)
		_, err = b.grant(t, old, b.permission("old"))
		require.NoError(t, err)
		require.Len(t, b.told(t, event.TokenGranted), 4, "neither what was there nor what is over")
		run()
		require.Empty(t, b.told(t, event.TokenExpiring))
		b.now = b.now.AddDate(1, 0, -30)
		run()
		run()
		require.Len(t, b.told(t, event.TokenExpiring), 4)
		require.Empty(t, b.told(t, event.TokenExpired))
		b.now = b.now.AddDate(0, 0, 30)
		run()
		run()
		require.Len(t, b.told(t, event.TokenExpired), 4)
		require.Len(t, b.told(t, event.TokenExpiring), 4)
	})
}

func TestWithoutNoticeNothingIsToldBeforeTheEnd(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		run := b.hourly(t, token.Options{})
		b.granted(t, 1)
		b.now = b.now.AddDate(1, 0, 0).Add(-time.Minute)
		run()
		require.Empty(t, b.told(t, event.TokenExpiring))
	})
}

func TestARevokedTokenIsVoidForGood(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ids := slices.Collect(maps.Values(b.granted(t, 3)))
		revoke := func(contact, id uuid.UUID) error {
			return d.Transact(t.Context(), func(tx *db.Tx) error { return b.store.Revoke(t.Context(), tx, contact, id) })
		}
		require.NoError(t, revoke(b.contact, ids[0]))
		require.NoError(t, revoke(b.contact, ids[0]), "once more")
		require.Equal(t, []uuid.UUID{ids[0]}, b.told(t, event.TokenRevoked), "told once")
		require.Equal(t, token.Void, b.tokens(t)[ids[0]].Status)
		require.Empty(t, b.reserve(t, token.Claim{1, ids[0]}))
		b.reserve(t, token.Claim{1, ids[1]})
		require.True(t, fault.HasCode(revoke(b.contact, ids[1]), "token_in_use"))
		b.settle(t, token.Fate{ids[1], 1, token.Spent})
		require.True(t, fault.HasCode(revoke(b.contact, ids[1]), "token_over"))
		b.now = b.now.AddDate(1, 0, 0)
		require.True(t, fault.HasCode(revoke(b.contact, ids[2]), "token_over"), "its year is over")
		require.True(t, fault.HasCode(revoke(b.newContact(t), ids[2]), "token_not_found"))
		got, err := b.store.Get(t.Context(), b.contact, ids[2])
		require.NoError(t, err)
		require.Equal(t, token.Expired, got.Status)
		_, err = b.store.Get(t.Context(), uuid.New(), ids[2])
		require.True(t, fault.HasCode(err, "token_not_found"))
	})
}

// Neither the tap of a self-test nor Meta's list makes it a permission.
func TestTheTokenOfASelfTestIsNoCampaigns(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := recurringSetup(t, d)
		tap := b.given("test", 0)
		tap.Payload, tap.Title = token.TestPayload+uuid.NewString(), token.TestTitle
		b.hear(tap)
		b.lister.parts = []channel.Listing{{Tokens: []channel.Listed{{Token: "test", PSID: psid, Title: token.TestTitle, Created: b.now}}}}
		_, err := b.part.StartSync(t.Context(), b.page)
		require.NoError(t, err)
		require.NoError(t, b.queue.Drain(t.Context(), b.now))
		require.Empty(t, b.all())
	})
}
