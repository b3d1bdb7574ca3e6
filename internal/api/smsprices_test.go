package api

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
)

// putPrices sets what texts cost.
func (s *service) putPrices(body string) gen.SMSPrices {
	s.t.Helper()
	return ask[gen.SMSPrices](s, 200, "PUT", "/v1/sms-prices", body)
}

func TestPricesAreKeptToTheLastDigit(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		none := ask[gen.SMSPrices](s, 200, "GET", "/v1/sms-prices", "")
		require.Equal(t, gen.SMSPrices{Countries: map[string]string{}}, none, "nobody has set any")
		set := s.putPrices(`{"currency":"EUR","default":"0.1","countries":{"GB":"0.0400","US":"0.007912","VA":"0"}}`)
		require.Equal(t, map[string]string{"GB": "0.04", "US": "0.007912", "VA": "0.00"}, set.Countries)
		require.Equal(t, "0.10", *set.Default)
		s.clock.Pass(time.Hour)
		s.putPrices(`{"currency":"EUR","countries":{"GB":"0.05"}}`)
		got := ask[gen.SMSPrices](s, 200, "GET", "/v1/sms-prices", "")
		require.Equal(t, map[string]string{"GB": "0.05"}, got.Countries, "the list as a whole")
		require.Nil(t, got.Default)
		require.Equal(t, s.clock.Now(), got.UpdatedAt.UTC())
	})
}

func TestAPreviewTellsWhatTextsCost(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		c := s.newCampaign(town.page, "")
		at := "/v1/campaigns/" + c.ID.String()
		p := ask[gen.Preview](s, 200, "POST", at+"/preview", "")
		require.Nil(t, p.SMS.Amount, "there is no list: nothing is said of money")
		require.EqualValues(t, p.SMS.Segments, p.SMS.Unpriced)
		require.NotContains(t, codesOf(p.Warnings), "sms_unpriced")

		s.putPrices(`{"currency":"GBP","countries":{"GB":"0.0401"}}`)
		p = ask[gen.Preview](s, 200, "POST", at+"/preview", "")
		require.Equal(t, gen.SMSCost{Messages: 2, Segments: 2, Longest: 1, Currency: new("GBP"), Amount: new("0.0802"),
			Countries: []gen.SMSCountryCost{{Country: new("GB"), Messages: 2, Segments: 2, Price: new("0.0401"), Amount: new("0.0802")}}}, p.SMS)

		s.putPrices(`{"currency":"GBP","countries":{"US":"0.0083"}}`)
		change(s, at, `{"budget":{"sms_amount":"0.05","sms_segments":1,"when_reached":"wait"}}`)
		p = ask[gen.Preview](s, 200, "POST", at+"/preview", "")
		require.Nil(t, p.SMS.Amount, "an unknown price is not a price of nothing")
		require.EqualValues(t, 2, p.SMS.Unpriced)
		require.Subset(t, codesOf(p.Warnings), []string{"sms_unpriced", "budget_too_small", "waits_without_end"})

		s.putPrices(`{"currency":"GBP","countries":{"GB":"0.0401"}}`)
		p = ask[gen.Preview](s, 200, "POST", at+"/preview", "")
		require.Equal(t, []string{"/budget/sms_segments", "/budget/sms_amount"}, pointersOf(p.Warnings, "budget_too_small"))
	})
}

func codesOf(all []gen.Warning) (out []string) {
	for _, w := range all {
		out = append(out, w.Code)
	}
	return out
}

func pointersOf(all []gen.Warning, code string) (out []string) {
	for _, w := range all {
		if w.Code == code {
			out = append(out, *w.Pointer)
		}
	}
	return out
}

// change patches a campaign.
func change(s *service, at, body string) gen.Campaign {
	s.t.Helper()
	return ask[gen.Campaign](s, 200, "PATCH", at, body)
}

func TestABudgetIsShownMergedAndReported(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		s.putPrices(`{"currency":"GBP","countries":{"GB":"0.0401"}}`)
		c := s.newCampaign(town.page, `,"budget":{"sms_segments":1,"sms_amount":"25.00"}`)
		at := "/v1/campaigns/" + c.ID.String()
		require.JSONEq(t, `{"sms_segments":1,"sms_amount":"25.00","currency":"GBP","when_reached":"fall_through"}`, string(c.Budget))
		got := change(s, at, `{"budget":{"when_reached":"wait","sms_amount":null}}`)
		require.JSONEq(t, `{"sms_segments":1,"when_reached":"wait"}`, string(got.Budget))
		got = change(s, at, `{"budget":null}`)
		require.JSONEq(t, `null`, string(got.Budget))
		change(s, at, `{"budget":{"sms_segments":1,"sms_amount":"25.00"}}`)

		ask[gen.Campaign](s, 202, "POST", at+"/start", "")
		s.refused(409, "campaign_frozen", call{Method: "PATCH", Path: at, Body: `{"budget":{"sms_segments":2},"name":"x"}`, Headers: mergePatch})
		s.refused(422, "invalid_fields", call{Method: "PATCH", Path: at, Body: `{"budget":{"sms_segments":null,"sms_amount":null}}`, Headers: mergePatch})
		s.refused(409, "currency_in_use", call{Method: "PUT", Path: "/v1/sms-prices", Body: `{"currency":"EUR","countries":{}}`})
		for i := range 4 {
			require.NoError(t, s.queue.Drain(t.Context(), time.Now().Add(time.Duration(i+1)*time.Hour)))
		}
		r := ask[gen.Report](s, 200, "GET", at+"/report", "")
		require.EqualValues(t, 1, r.SMS.Segments)
		require.Equal(t, []string{"0.0401", "GBP"}, []string{*r.SMS.Amount, *r.SMS.Currency})
		require.NotNil(t, r.SMS.ReachedAt)
		require.Equal(t, gen.CampaignStateFinished, r.State)
		require.EqualValues(t, 1, r.Lanes["sms"].Total, "whoever was left took another lane")
		s.refused(409, "wrong_state", call{Method: "PATCH", Path: at, Body: `{"budget":{"sms_segments":2}}`, Headers: mergePatch})
		s.putPrices(`{"currency":"EUR","countries":{}}`)
	})
}
