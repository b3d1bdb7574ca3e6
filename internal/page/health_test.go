package page_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
	"beckon/internal/page"
)

func (b *bundle) checked(t *testing.T, id uuid.UUID, c page.Check) page.Page {
	t.Helper()
	require.NoError(t, b.d.Transact(t.Context(), func(tx *db.Tx) error { return b.store.Checked(tx, id, c) }))
	return b.get(t, id)
}

func (b *bundle) heard(t *testing.T, id uuid.UUID) page.Page {
	t.Helper()
	require.NoError(t, b.d.Transact(t.Context(), func(tx *db.Tx) error { return b.store.Heard(tx, id) }))
	return b.get(t, id)
}

func (b *bundle) policy(t *testing.T, id uuid.UUID, action string, at time.Time) page.Page {
	t.Helper()
	require.NoError(t, b.d.Transact(t.Context(), func(tx *db.Tx) error { return b.store.PolicySaid(tx, id, action, "why", at) }))
	return b.get(t, id)
}

func (b *bundle) get(t *testing.T, id uuid.UUID) page.Page {
	t.Helper()
	p, err := b.store.Get(t.Context(), id)
	require.NoError(t, err)
	return p
}

func (b *bundle) events(t *testing.T, kind string) int {
	t.Helper()
	return b.count(t, "SELECT COUNT(*) FROM events WHERE type = ?", kind)
}

// stopped is the code that the Page's line is stopped with; "" is that it runs.
func (b *bundle) stopped(t *testing.T, id uuid.UUID) string {
	t.Helper()
	var codes []string
	require.NoError(t, b.d.Read(t.Context()).Raw("SELECT stop_code FROM lines WHERE sender = ? AND stopped_at IS NOT NULL",
		channel.Window.Line(id.String())).Scan(&codes).Error)
	return append(codes, "")[0]
}

func well() page.Check {
	return page.Check{Token: &page.TokenCheck{Valid: true}, Fields: true, GetStarted: page.GetStartedSet, Load: 3}
}

func TestACheckIsWrittenDownAndTroubleIsToldOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		id := b.create(t, "1").ID
		got := b.checked(t, id, well())
		require.Equal(t, page.TokenWorks, got.TokenHealth)
		require.Empty(t, got.Problems(b.now))
		require.Equal(t, 3, got.Health.Load)
		require.Equal(t, page.GetStartedSet, got.Health.GetStarted)
		require.True(t, b.now.UTC().Truncate(time.Microsecond).Equal(*got.Health.CheckedAt))
		require.Nil(t, got.Health.RepairedAt)
		require.Zero(t, b.events(t, "page.health_changed"), "that all is well is no news")

		bad := well()
		bad.Missing, bad.Token.ScopesMissing, bad.Token.Expires = []string{"messages"}, []string{"pages_messaging"}, b.now.Add(time.Hour)
		for range 3 {
			got = b.checked(t, id, bad)
		}
		require.Equal(t, []string{"token_expires", "scopes_missing", "fields_missing"}, codes(got.Problems(b.now)))
		require.Equal(t, 1, b.events(t, "page.health_changed"))

		got = b.checked(t, id, page.Check{Code: "2"})
		require.Contains(t, codes(got.Problems(b.now)), "scopes_missing", "what was not seen stays")
		require.Contains(t, codes(got.Problems(b.now)), "check_failed")
		require.Empty(t, b.checked(t, id, well()).Problems(b.now))
		require.Equal(t, 3, b.events(t, "page.health_changed"))
	})
}

func codes(list []page.Problem) (out []string) {
	for _, p := range list {
		out = append(out, p.Code)
	}
	return out
}

func TestATokenThatIsNoGoodStopsTheLineUntilThereIsANewOne(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		id := b.create(t, "1").ID
		got := b.checked(t, id, page.Check{Token: &page.TokenCheck{}})
		require.Equal(t, page.TokenRefused, got.TokenHealth)
		require.Equal(t, "190", b.stopped(t, id))
		require.Equal(t, 1, b.events(t, "page.health_changed"))

		fresh := "EAAB-fresh"
		got, err := b.store.Patch(t.Context(), id, page.Patch{AccessToken: &fresh})
		require.NoError(t, err)
		require.Equal(t, page.TokenUnknown, got.TokenHealth)
		require.Empty(t, b.stopped(t, id))
		require.Equal(t, 2, b.events(t, "page.health_changed"))
	})
}

func TestAPageThatIsSilentIsToldOfOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		id := b.create(t, "1").ID
		b.now = b.now.Add(24*time.Hour - time.Minute)
		require.Nil(t, b.checked(t, id, well()).Health.QuietSince)
		b.now = b.now.Add(time.Minute)
		require.NotNil(t, b.checked(t, id, well()).Health.QuietSince, "nothing came since it was added")
		b.now = b.now.Add(time.Hour)
		b.checked(t, id, well())
		require.Equal(t, 1, b.events(t, "page.quiet"))

		got := b.heard(t, id)
		require.Nil(t, got.Health.QuietSince)
		require.Equal(t, 2, b.events(t, "page.health_changed"))
		last := *got.Health.LastEventAt
		b.now = b.now.Add(50 * time.Second)
		require.Equal(t, last, *b.heard(t, id).Health.LastEventAt, "once a minute is enough")
		b.now = b.now.Add(24 * time.Hour)
		require.NotNil(t, b.checked(t, id, well()).Health.QuietSince)

		never := 0
		got, err := b.store.Patch(t.Context(), id, page.Patch{QuietHours: &never})
		require.NoError(t, err)
		require.Nil(t, got.Health.QuietSince)
		require.Empty(t, got.Problems(b.now))
		require.Equal(t, 2, b.events(t, "page.quiet"))
	})
}

func TestAWarningDoesNotEndABlock(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		id := b.create(t, "1").ID
		b.policy(t, id, channel.StatusBlock, b.now)
		require.Equal(t, channel.StatusBlock, b.policy(t, id, channel.StatusWarning, b.now.Add(time.Minute)).Health.Policy)
		fresh := "EAAB-fresh"
		_, err := b.store.Patch(t.Context(), id, page.Patch{AccessToken: &fresh})
		require.NoError(t, err)
		require.Equal(t, page.CodeBlocked, b.stopped(t, id))
		b.policy(t, id, channel.StatusUnblock, b.now.Add(2*time.Minute))
		require.Empty(t, b.stopped(t, id))
	})
}

// Meta's times may be in whole seconds.
func TestABlockOfTheSameMomentAsAWarningCounts(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for graphID, words := range map[string][]string{"1": {channel.StatusWarning, channel.StatusBlock}, "2": {channel.StatusBlock, channel.StatusWarning}} {
			id := b.create(t, graphID).ID
			for _, word := range words {
				b.policy(t, id, word, b.now)
			}
			require.Equal(t, page.CodeBlocked, b.stopped(t, id))
			require.Equal(t, channel.StatusBlock, b.get(t, id).Health.Policy)
		}
	})
}

func TestMetasWordStopsTheLineAndLetsItGoOnInWhateverOrderItComes(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		id, first := b.create(t, "1").ID, b.now
		got := b.policy(t, id, channel.StatusBlock, first.Add(time.Minute))
		require.Equal(t, []any{channel.StatusBlock, "why"}, []any{got.Health.Policy, got.Health.PolicyReason})
		require.Equal(t, page.CodeBlocked, b.stopped(t, id))
		b.exec(t, "DELETE FROM lines")
		b.policy(t, id, channel.StatusBlock, first.Add(time.Minute))
		require.Empty(t, b.stopped(t, id), "the same word again, after somebody resumed the line")
		b.policy(t, id, channel.StatusBlock, first.Add(2*time.Minute))
		b.policy(t, id, channel.StatusWarning, first)
		b.policy(t, id, channel.StatusUnblock, first)
		require.Equal(t, page.CodeBlocked, b.stopped(t, id), "an earlier word comes late")

		fresh := "EAAB-fresh"
		_, err := b.store.Patch(t.Context(), id, page.Patch{AccessToken: &fresh})
		require.NoError(t, err)
		require.Equal(t, page.CodeBlocked, b.stopped(t, id), "a new access token does not end a block")

		got = b.policy(t, id, channel.StatusUnblock, first.Add(time.Hour))
		require.Empty(t, b.stopped(t, id))
		require.Empty(t, got.Problems(b.now))
		b.policy(t, id, channel.StatusBlock, first.Add(time.Minute))
		require.Empty(t, b.stopped(t, id), "told again")
		require.Equal(t, 2, b.events(t, "page.health_changed"))

		b.checked(t, id, page.Check{Token: &page.TokenCheck{}})
		b.policy(t, id, channel.StatusUnblock, first.Add(2*time.Hour))
		require.Equal(t, "190", b.stopped(t, id), "it ends its own stop only")
	})
}

func TestARemovedPageLeavesWhatItTakesToSayGoodbye(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		id := b.create(t, "1").ID
		var gone page.Gone
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) (err error) {
			gone, err = b.store.Remove(tx, id)
			return err
		}))
		require.NotContains(t, string(gone.Token), "secret")
		of, err := b.store.Unseal(gone)
		require.NoError(t, err)
		require.Equal(t, channel.Page{GraphID: "1", AccessToken: "EAAB-secret"}, of)
		err = d.Transact(t.Context(), func(tx *db.Tx) error { return b.store.Checked(tx, id, well()) })
		require.True(t, fault.Is(err, fault.NotFound), "%v", err)
		require.Zero(t, b.count(t, "SELECT COUNT(*) FROM page_health"))
	})
}
