package campaign_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/fault"
)

func TestNothingIsSentAgainOnceACampaignIsCancelledOrOver(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	later := now.Add(time.Second)
	for _, c := range []struct {
		campaign campaign.Campaign
		code     string
	}{
		{campaign.Campaign{State: campaign.Finished}, ""},
		{campaign.Campaign{State: campaign.Running, EndsAt: &later}, ""},
		{campaign.Campaign{State: campaign.Paused}, ""},
		{campaign.Campaign{State: campaign.Finished, EndsAt: &now}, "deadline_passed"},
		{campaign.Campaign{State: campaign.Cancelled}, "wrong_state"},
	} {
		err := c.campaign.MaySendAgain(now)
		require.Equal(t, c.code != "", fault.HasCode(err, c.code), c.campaign.State)
		require.Equal(t, c.code != "", err != nil)
	}
}
