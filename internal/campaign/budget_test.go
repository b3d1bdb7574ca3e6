package campaign_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/budget"
	"beckon/internal/campaign"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
)

// spending makes a draft by SMS with a budget.
func (b *bundle) spending(t *testing.T, written string) campaign.Campaign {
	t.Helper()
	p := b.patch(content.Source{Messenger: chat, SMS: text})
	p.Budget = json.RawMessage(written)
	c, _, err := b.Create(t.Context(), p)
	require.NoError(t, err)
	return c
}

func (b *bundle) rebudget(t *testing.T, id uuid.UUID, written string) (campaign.Campaign, error) {
	t.Helper()
	c, _, err := b.Update(t.Context(), id, campaign.Patch{Budget: json.RawMessage(written)})
	return c, err
}

func TestABudgetCanBeChangedAloneUntilTheCampaignHasEnded(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		c := b.spending(t, `{"sms_segments":5}`)
		_, err := b.rebudget(t, c.ID, `{"when_reached":"wait"}`)
		require.NoError(t, err)
		_, err = b.Start(t.Context(), c.ID)
		require.NoError(t, err)
		got, err := b.rebudget(t, c.ID, `{"sms_segments":9}`)
		require.NoError(t, err)
		require.JSONEq(t, `{"sms_segments":9,"when_reached":"wait"}`, *got.Budget)
		_, err = b.Pause(t.Context(), c.ID)
		require.NoError(t, err)
		_, err = b.rebudget(t, c.ID, `null`)
		require.NoError(t, err)
		require.Equal(t, 2, b.count("events WHERE type = 'campaign.budget_changed'"), "in a draft nobody needs to be told")

		name := "x"
		_, _, err = b.Update(t.Context(), c.ID, campaign.Patch{Budget: json.RawMessage(`{"sms_segments":9}`), Name: &name})
		require.True(t, fault.HasCode(err, "campaign_frozen"), err)
		_, err = b.rebudget(t, c.ID, `{"sms_segments":0}`)
		require.True(t, fault.Is(err, fault.Invalid), err)
		_, err = b.Cancel(t.Context(), c.ID)
		require.NoError(t, err)
		_, err = b.rebudget(t, c.ID, `{"sms_segments":9}`)
		require.True(t, fault.HasCode(err, "wrong_state"), err)
	})
}

func TestAScheduledCampaignHasItsBudgetFromTheStart(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		money := budget.NewStore(d, b.now)
		prices := func(currency string) error {
			_, err := money.SetPrices(t.Context(), budget.Prices{Currency: currency, Countries: map[string]budget.Amount{}})
			return err
		}
		require.NoError(t, prices("EUR"))
		c := b.spending(t, `{"sms_amount":"25.00"}`)
		require.NoError(t, prices("USD"), "a draft holds up nobody")
		_, err := b.Start(t.Context(), c.ID)
		require.True(t, fault.Is(err, fault.Invalid), "what was meant in one currency is not started in another: %v", err)
		later := b.now().Add(time.Hour)
		_, _, err = b.Update(t.Context(), c.ID, campaign.Patch{Budget: json.RawMessage(`{"sms_amount":"25.00"}`), StartsAt: &later})
		require.NoError(t, err)
		got, err := b.Start(t.Context(), c.ID)
		require.NoError(t, err)
		require.Equal(t, campaign.Scheduled, got.State)
		require.True(t, fault.HasCode(prices("EUR"), "currency_in_use"))
	})
}

func TestATestOfACampaignSpendsNothingOfItsBudget(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		c := b.spending(t, `{"sms_segments":1}`)
		who := b.contact()
		child, err := b.Test(t.Context(), c.ID, campaign.Trial{Contact: who})
		require.NoError(t, err)
		require.Nil(t, child.Budget)
		def, err := b.Definition(t.Context(), child.ID)
		require.NoError(t, err)
		require.Equal(t, child.ID, def.Payer)
		_, err = b.rebudget(t, child.ID, `{"sms_segments":1}`)
		require.True(t, fault.HasCode(err, "campaign_frozen"), err)
	})
}
