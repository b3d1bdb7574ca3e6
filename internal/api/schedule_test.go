package api

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
)

func TestACampaignsScheduleIsAnsweredAsItWasSet(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		const hours = `{"sms":{"from":"22:00","to":"06:00","days":["mon","sun"]}}`
		c := s.newCampaign(town.page, `,"starts_at":"2026-03-04T09:00:00+05:30","starts_local":true,"ends_at":"2026-03-06T09:00:00+01:00","allowed_hours":`+hours+`,"escalate_after_hours":24`)
		at := "/v1/campaigns/" + c.ID.String()
		require.Equal(t, time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC), c.StartsAt.UTC(), "nine on everybody's wall")
		require.Equal(t, time.Date(2026, 3, 6, 8, 0, 0, 0, time.UTC), c.EndsAt.UTC())
		require.True(t, c.StartsLocal)
		require.Equal(t, 24, *c.EscalateAfterHours)
		require.JSONEq(t, hours, string(c.AllowedHours))

		p := ask[gen.Campaign](s, 200, "PATCH", at, `{"starts_local":false,"allowed_hours":{}}`)
		require.JSONEq(t, `{}`, string(p.AllowedHours))
		require.Equal(t, c.StartsAt, p.StartsAt, "what is not named stays")
		p = ask[gen.Campaign](s, 200, "PATCH", at, `{"starts_at":null,"ends_at":null,"allowed_hours":null,"escalate_after_hours":null}`)
		require.Equal(t, "null", string(p.AllowedHours))
		require.Nil(t, p.StartsAt)
		require.Nil(t, p.EndsAt)
		require.Nil(t, p.EscalateAfterHours)
		require.Equal(t, p, ask[gen.Campaign](s, 200, "GET", at, ""))
	})
}

func TestACampaignWaitsForItsStart(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		c := s.newCampaign(town.page, `,"starts_at":"2026-03-03T12:00:00Z","ends_at":"2026-03-03T13:00:00Z"`)
		at := "/v1/campaigns/" + c.ID.String()
		require.Equal(t, gen.CampaignStateScheduled, ask[gen.Campaign](s, 202, "POST", at+"/start", "").State)
		s.refused(409, "wrong_state", post(at+"/start", ""))
		s.refused(409, "wrong_state", post(at+"/pause", ""))
		require.Equal(t, gen.CampaignStateCancelled, ask[gen.Campaign](s, 202, "POST", at+"/cancel", "").State)

		late := s.newCampaign(town.page, `,"ends_at":"2026-03-01T13:00:00Z"`)
		s.refused(409, "deadline_passed", post("/v1/campaigns/"+late.ID.String()+"/start", ""))
	})
}

func TestAPreviewTellsWhoIsHeldAndForWhomItIsTooLate(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		c := s.newCampaign(town.page, `,"ends_at":"2026-03-02T21:00:00Z","allowed_hours":{"sms":{"from":"20:00","to":"21:00"},"email":{"from":"21:00","to":"22:00"}}`)
		p := ask[gen.Preview](s, 200, "POST", "/v1/campaigns/"+c.ID.String()+"/preview", "")
		require.EqualValues(t, 3, p.Held.Total)
		require.Equal(t, "20:00", p.Held.First.UTC().Format("15:04"))
		require.Equal(t, "21:00", p.Held.Last.UTC().Format("15:04"))
		last := p.Warnings[len(p.Warnings)-1]
		require.Equal(t, "deadline_before_release", last.Code)
		require.Contains(t, last.Detail, "For 1 people")
	})
}

func TestAPageHasATimeZone(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		p := ask[gen.Page](s, 201, "POST", "/v1/pages", `{"facebook_page_id":"7","name":"x","access_token":"x","time_zone":"Asia/Tokyo"}`)
		require.Equal(t, "Asia/Tokyo", *p.TimeZone)
		at := "/v1/pages/" + p.ID.String()
		require.Equal(t, "Europe/Paris", *ask[gen.Page](s, 200, "PATCH", at, `{"time_zone":"Europe/Paris"}`).TimeZone)
		require.Nil(t, ask[gen.Page](s, 200, "PATCH", at, `{"time_zone":null}`).TimeZone)
		require.Nil(t, ask[gen.Page](s, 200, "GET", at, "").TimeZone)
	})
}

func TestAnEscalationIsShownButLedByItsCampaign(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		c := s.newCampaign(town.page, `,"allowed_hours":{},"escalate_after_hours":2`)
		at := "/v1/campaigns/" + c.ID.String()
		ask[gen.Campaign](s, 202, "POST", at+"/start", "")
		s.work()
		r := ask[gen.Report](s, 200, "GET", at+"/report", "")
		require.Equal(t, gen.CampaignStateRunning, r.State, "it listens")
		require.Zero(t, r.Escalated.Total)
		child := "/v1/campaigns/" + r.Escalated.CampaignID.String()
		require.Equal(t, c.ID, *ask[gen.Campaign](s, 200, "GET", child, "").EscalationOf)
		require.Len(t, ask[gen.CampaignList](s, 200, "GET", "/v1/campaigns", "").Data, 1)
		s.refused(409, "led_by_campaign", post(child+"/pause", ""))

		s.clock.Pass(2 * time.Hour)
		require.NoError(t, s.queue.Drain(t.Context(), time.Now().Add(6*time.Hour)))
		r = ask[gen.Report](s, 200, "GET", at+"/report", "")
		require.Positive(t, r.Escalated.Total)
		require.Equal(t, map[string]int64{"accepted": r.Escalated.Total}, r.Escalated.States)
		list := ask[gen.DeliveryList](s, 200, "GET", child+"/deliveries", "")
		require.Len(t, list.Data, int(r.Escalated.Total))
	})
}
