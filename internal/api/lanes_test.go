package api

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

// realPage is the one that the simulator knows.
func (s *service) realPage() gen.Page {
	return ask[gen.Page](s, 201, "POST", "/v1/pages", `{"facebook_page_id":"104829305581","name":"Northern Courses","access_token":"EAAB-s3cr3t"}`)
}

func TestRecurringTokensAreShownAndNeverTold(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	p := s.realPage()
	s.newTopic("courses")
	amy := s.newContact(`"external_id":"a","messenger":[{"page_id":"%s","psid":"7"}]`, p.ID)
	require.Empty(t, amy.RecurringTokens)
	at := s.clock.Now()
	require.NoError(t, s.db.Transact(t.Context(), func(tx *db.Tx) error {
		return s.parts.Recurring.Hear(t.Context(), tx, channel.Heard{Page: p.ID, Events: []channel.Event{{Kind: channel.EventOptIn, OptInType: channel.OptInRecurring,
			PSID: "7", Token: "nmt-s3cr3t", Title: "Course news", Payload: "courses", At: at, Expires: at.Add(time.Hour)}}})
	}))
	show := func() gen.RecurringToken {
		c := ask[gen.Contact](s, 200, "GET", "/v1/contacts/"+amy.ID.String(), "")
		require.Len(t, c.RecurringTokens, 1)
		return c.RecurringTokens[0]
	}
	got := show()
	require.Equal(t, []any{"courses", "Course news", gen.RecurringTokenStatusLive}, []any{got.Topic, *got.Title, got.Status})
	s.clock.Pass(time.Hour)
	require.Equal(t, gen.RecurringTokenStatusExpired, show().Status)
	require.Equal(t, int64(1), ask[gen.RecurringSync](s, 200, "GET", "/v1/pages/"+p.ID.String()+"/recurring-tokens", "").Counts["expired"])
}

func TestRecurringTokensAreReadFromMeta(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	p := s.realPage()
	path := "/v1/pages/" + p.ID.String() + "/recurring-tokens"
	require.Nil(t, ask[gen.RecurringSync](s, 200, "GET", path, "").State)
	require.Equal(t, gen.RecurringSyncStateRunning, *ask[gen.RecurringSync](s, 202, "POST", path+"/sync", "").State)
	s.work()
	done := ask[gen.RecurringSync](s, 200, "GET", path, "")
	require.Equal(t, gen.RecurringSyncStateFinished, *done.State)
	require.NotNil(t, done.FinishedAt)
}

func TestRecurringMessagesAreAskedForByKind(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	town := s.newTown()
	body := `{"contact_id":"` + town.people["amy"].ID.String() + `","page_id":"` + town.page.ID.String() + `","topic":"courses","kind":"recurring"}`
	r := ask[gen.OptInRequest](s, 201, "POST", "/v1/opt-in-requests", body)
	require.Equal(t, gen.OptInKindRecurring, r.Kind)
	require.Equal(t, r, ask[gen.OptInRequest](s, 200, "GET", "/v1/opt-in-requests/"+r.ID.String(), ""))
	s.refused(422, "asked_recently", post("/v1/opt-in-requests", body))
}

func TestTransactionalCampaignSpeaksByATemplate(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	p := s.realPage()
	s.newTopic("visits")
	path := "/v1/pages/" + p.ID.String() + "/message-templates"
	made := ask[gen.MessageTemplate](s, 201, "POST", path, `{"name":"visit","language":"en","body":"See you on {{day}}.","examples":{"day":"Monday"}}`)
	require.Equal(t, []any{"approved", []string{"day"}}, []any{made.Status, made.Holes})
	s.refused(409, "template_taken", post(path, `{"name":"visit","language":"en","body":"x"}`))
	require.Equal(t, []uuid.UUID{made.ID}, each(ask[gen.MessageTemplateList](s, 200, "POST", path+"/sync", "").Data, func(m gen.MessageTemplate) uuid.UUID { return m.ID }))

	s.newContact(`"external_id":"a","attributes":{"day":"Friday"},"messenger":[{"page_id":"%s","psid":"7"}]`, p.ID)
	c := ask[gen.Campaign](s, 201, "POST", "/v1/campaigns", `{"name":"Visits","page_id":"`+p.ID.String()+`","topic":"visits","transactional":true,
		"content":{"utility":{"template":"visit","language":"en","parameters":{"day":"{{ contact.attributes.day }}"}}}}`)
	require.True(t, c.Transactional)
	require.Equal(t, gen.Route{gen.LaneUtility}, c.Route)
	require.Empty(t, c.Warnings)
	v := ask[gen.Preview](s, 200, "POST", "/v1/campaigns/"+c.ID.String()+"/preview", "")
	require.Equal(t, map[string]int64{"utility": 1}, v.Lanes)
	require.Contains(t, v.Samples.Utility, "template")

	changed := s.do(call{Method: "PATCH", Path: "/v1/campaigns/" + c.ID.String(), Body: `{"content":{"utility":null,"sms":{"text":"x {{ link }} STOP"}},"transactional":false}`, Headers: mergePatch})
	require.Equal(t, 200, changed.Code, changed.Body)
	require.Contains(t, changed.Body.String(), `"route":["sms"]`)
}
