package campaign_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
)

func TestATestIsACampaignOverOneContact(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		p := b.patch(content.Source{Messenger: chat, SMS: text})
		p.Route = &[]channel.Lane{channel.OneTime, channel.Window, channel.LaneSMS}
		p.Audience, p.EscalateAfterHours = []byte(`{"all":[{"field":"email","op":"exists","value":true}]}`), ptr(24)
		p.EndsAt = ptr(noon.AddDate(0, 0, 1))
		c, _, err := b.Create(t.Context(), p)
		require.NoError(t, err)
		b.contact()
		who := b.contact()
		b.contact()

		test, err := b.Test(t.Context(), c.ID, campaign.Trial{Contact: who})
		require.NoError(t, err)
		require.Equal(t, c.ID, *test.TestOf)
		require.Equal(t, campaign.Running, test.State)
		require.Equal(t, []channel.Lane{channel.Window, channel.LaneSMS}, b.lanes(test), "no token is spent on a test")
		require.JSONEq(t, c.Content, test.Content)
		require.Equal(t, "{}", *test.AllowedHours)
		require.Nil(t, test.EndsAt)
		require.Zero(t, test.EscalateAfterHours)
		require.Equal(t, 1, b.count("contacts WHERE id > '"+test.PlannedTo.String()+"' AND id <= '"+test.PlannedUntil.String()+"'"), "the plan holds one contact")
		require.Equal(t, 1, b.count("river_job WHERE kind = 'campaign.plan'"))

		require.Equal(t, campaign.Draft, b.get(c.ID).State, "what is tested stays as it is")
		list, err := b.List(t.Context(), uuid.Nil, 10)
		require.NoError(t, err)
		require.Len(t, list, 1, "a test is not in the list")

		one, err := b.Test(t.Context(), c.ID, campaign.Trial{Contact: who, Lane: channel.LaneSMS})
		require.NoError(t, err)
		require.Equal(t, []channel.Lane{channel.LaneSMS}, b.lanes(one))
	})
}

func TestTheEndOfATestIsNotTold(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		test, err := b.Test(t.Context(), b.draft().ID, campaign.Trial{Contact: b.contact()})
		require.NoError(t, err)
		b.tx(func(tx *db.Tx) error {
			ok, err := b.Planned(tx, test.ID, test.PlannedTo, *test.PlannedUntil, true)
			require.True(t, ok)
			return err
		})
		done, err := b.FinishIfDone(t.Context(), test.ID)
		require.NoError(t, err)
		require.True(t, done)
		require.Zero(t, b.count("events"))
	})
}

func TestWhatCannotBeTested(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	c, who := b.draft(), b.contact()
	for name, trial := range map[string]struct {
		campaign.Trial
		want string
	}{
		"nobody":             {campaign.Trial{Contact: uuid.Must(uuid.NewV7())}, "/contact_id contact_not_found"},
		"lane that is not":   {campaign.Trial{Contact: who, Lane: channel.LaneEmail}, "/lane not_allowed"},
		"lane takes a token": {campaign.Trial{Contact: who, Lane: channel.OneTime}, "/lane not_allowed"},
	} {
		_, err := b.Test(t.Context(), c.ID, trial.Trial)
		require.Equal(t, []string{trial.want}, mistakes(t, err), name)
	}
	_, err := b.Test(t.Context(), who, campaign.Trial{Contact: who})
	require.ErrorIs(t, err, campaign.ErrNone)
	test, err := b.Test(t.Context(), c.ID, campaign.Trial{Contact: who})
	require.NoError(t, err)
	_, err = b.Test(t.Context(), test.ID, campaign.Trial{Contact: who})
	require.True(t, fault.HasCode(err, "not_a_campaign"), err)
	require.Equal(t, 1, b.count("campaigns WHERE test_of IS NOT NULL"))
}
