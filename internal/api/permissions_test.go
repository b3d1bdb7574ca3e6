package api

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/channel"
	"beckon/internal/db/dbtest"
)

func TestATokenIsAddedOnceAndNeverShown(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		at := "/v1/contacts/" + town.people["dan"].ID.String() + "/tokens"
		body := `{"page_id":"` + town.page.ID.String() + `","topic":"courses","token":"v-s3cr3t","granted_at":"2026-02-20T17:00:00+01:00"}`
		made := ask[gen.Token](s, 201, "POST", at, body)
		require.Equal(t, gen.TokenStatusAvailable, made.Status)
		require.Equal(t, time.Date(2027, 2, 20, 16, 0, 0, 0, time.UTC), made.ExpiresAt)
		require.Equal(t, made, ask[gen.Token](s, 200, "POST", at, body), "the same again is the same token")
		for _, path := range []string{at, "/v1/contacts/" + town.people["dan"].ID.String()} {
			require.NotContains(t, s.do(call{Method: "GET", Path: path}).Body.String(), "s3cr3t")
		}
		require.NotContains(t, s.logs.String(), "s3cr3t")
		s.clock.Pass(366 * 24 * time.Hour)
		require.Equal(t, gen.TokenStatusExpired, ask[gen.TokenList](s, 200, "GET", at, "").Data[0].Status)
	})
}

func TestAskingForAToken(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		body := `{"contact_id":"` + town.people["amy"].ID.String() + `","page_id":"` + town.page.ID.String() + `","topic":"courses"}`
		made := ask[gen.OptInRequest](s, 201, "POST", "/v1/opt-in-requests", body)
		require.Equal(t, gen.OptInRequestStateSent, made.State)
		require.Equal(t, made, ask[gen.OptInRequest](s, 200, "GET", "/v1/opt-in-requests/"+made.ID.String(), ""))
		s.refused(422, "asked_recently", post("/v1/opt-in-requests", body))
		s.clock.Pass(8 * 24 * time.Hour)
		s.refused(422, "window_closed", post("/v1/opt-in-requests", body))
	})
}

func TestReachIsTheDecisionOfThisMoment(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		reach := func(name, query string) gen.Reach {
			return ask[gen.Reach](s, 200, "GET", "/v1/contacts/"+town.people[name].ID.String()+"/reach?page_id="+town.page.ID.String()+query, "")
		}
		why := func(r gen.Reach) map[gen.Lane]string {
			out := map[gen.Lane]string{}
			for _, l := range r.Lanes {
				require.Equal(t, l.Open, l.Reason == nil)
				out[l.Lane] = orZero(l.Reason)
			}
			return out
		}
		require.Equal(t, "window", *reach("amy", "").Lane)
		cat := reach("cat", "&topic=courses")
		require.Equal(t, "one_time", *cat.Lane)
		require.Equal(t, map[gen.Lane]string{"window": "window_closed", "one_time": "", "utility": "not_transactional", "recurring": "no_token", "sms": "no_address", "email": "no_address"}, why(cat))
		require.Nil(t, reach("cat", "").Lane)
		require.Equal(t, map[gen.Lane]string{"window": "no_address", "one_time": "no_address", "utility": "no_address", "recurring": "no_address", "sms": "no_consent", "email": "no_address"}, why(reach("gus", "&topic=courses")))
		s.clock.Pass(24 * time.Hour)
		require.Equal(t, "email", *reach("amy", "").Lane)
	})
}

func TestAnAbsentChannelIsToldEverywhere(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t), channel.SMS)
	town := s.newTown()
	c := s.newCampaign(town.page, "")
	require.Contains(t, c.Warnings, warning("/route/2", "channel_absent", "The channel sms is not set up on this server."))
	require.Equal(t, c, ask[gen.Campaign](s, 200, "GET", "/v1/campaigns/"+c.ID.String(), ""))
	s.refused(409, "channel_absent", post("/v1/campaigns/"+c.ID.String()+"/start", ""))
	r := ask[gen.Reach](s, 200, "GET", "/v1/contacts/"+town.people["dan"].ID.String()+"/reach?page_id="+town.page.ID.String(), "")
	require.Equal(t, "not_configured", *r.Lanes[4].Reason)
	require.Nil(t, r.Lane)
}
