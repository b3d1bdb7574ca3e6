package api

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/channel"
	"beckon/internal/db"
)

func TestACampaignGoesOut(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		c := s.newCampaign(town.page, "")
		at := "/v1/campaigns/" + c.ID.String()
		preview := ask[gen.Preview](s, 200, "POST", at+"/preview", "")
		started := ask[gen.Campaign](s, 202, "POST", at+"/start", "")
		require.Equal(t, gen.CampaignStateRunning, started.State)
		s.refused(409, "wrong_state", post(at+"/start", ""))
		s.work()

		r := ask[gen.Report](s, 200, "GET", at+"/report", "")
		require.Equal(t, gen.CampaignStateFinished, r.State)
		require.EqualValues(t, 8, r.Audience)
		require.Equal(t, r.Audience, r.Messenger.Total+r.LinkBack.Total+r.Unreachable.Total)
		require.Equal(t, map[string]int64{"no_consent": 1, "no_address": 1}, r.Unreachable.Reasons)
		require.Equal(t, map[string]int64{"accepted": 3}, r.Messenger.States)
		lanes := map[string]int64{}
		for lane, n := range r.Lanes {
			lanes[lane] = n.Total
		}
		require.Equal(t, map[string]int64{"window": 2, "one_time": 1, "sms": 2, "email": 1}, lanes)
		require.Equal(t, preview.Lanes, lanes, "the preview promised what happened")
		require.EqualValues(t, 2, preview.SMSSegments)
		require.EqualValues(t, 2, r.SMS.Segments, "and what was promised is what was spent")
		require.Equal(t, []int64{preview.Audience, preview.Messenger, preview.LinkBack}, []int64{r.Audience, r.Messenger.Total, r.LinkBack.Total})
		require.Equal(t, "Hi Amy, spring courses are open.", *preview.Samples.Messenger.Text)
		require.Equal(t, "COURSES_YES", *preview.Samples.Messenger.QuickReplies[0].Payload)
		require.Len(t, s.carriers[channel.SMS].sent, 2)
	})
}

func TestAPreviewOverNobodyHasNoSamples(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		c := s.newCampaign(town.page, `,"audience":{"field":"external_id","op":"eq","value":"nobody"}`)
		p := ask[gen.Preview](s, 200, "POST", "/v1/campaigns/"+c.ID.String()+"/preview", "")
		require.Zero(t, p.Audience)
		require.Equal(t, gen.Samples{}, p.Samples)
		require.Equal(t, gen.WorstSamples{}, p.Worst)
	})
}

func TestAPreviewShowsTheWorstThatTextsMayComeTo(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		s.newContact(`"external_id":"long","first_name":"Maximiliane Ştefania","last_name":"X","locale":"de"`)
		body := `{"name":"x","page_id":"` + town.page.ID.String() + `","topic":"courses","content":{
			"messenger":{"text":"Hi {{ contact.first_name }}!"}, "sms":{"text":"{{ contact.first_name }} {{ contact.last_name }}: {{ link }} Spring courses. STOP"},
			"email":{"subject":"For {{ contact.first_name }}","preheader":"New","html":"<p>Hi</p>","button":{"title":"Courses"},"language":"fr"}}}`
		c := ask[gen.Campaign](s, 201, "POST", "/v1/campaigns", body)
		require.Equal(t, "fr", *c.Content.Email.Language)
		p := ask[gen.Preview](s, 200, "POST", "/v1/campaigns/"+c.ID.String()+"/preview", "")

		long := p.Worst.LongestName
		require.Equal(t, "Hi Maximiliane Ştefania!", *long.Messenger.Text)
		require.Regexp(t, `^Maximiliane Ştefania : https://\S+ Spring courses. STOP$`, long.SMS.Text)
		require.Equal(t, 2, long.SMS.Segments, "one letter more than the small alphabet has")
		require.Equal(t, "For Maximiliane Ştefania", long.Email.Subject)
		require.Contains(t, long.Email.HTML, ">Courses</a>")
		require.Contains(t, long.Email.Text, "Se désabonner: https://", "nothing but the name is known")

		nobody := p.Worst.NothingKnown
		require.Equal(t, "Hi !", *nobody.Messenger.Text)
		require.Regexp(t, `^ : https://`, nobody.SMS.Text)
		require.Equal(t, "For", strings.TrimSpace(nobody.Email.Subject))
		require.Empty(t, nobody.Problems)

		body = `{"name":"y","page_id":"` + town.page.ID.String() + `","topic":"courses","content":{"email":{"subject":"{{ contact.last_name }}","text":"Hi"}}}`
		c = ask[gen.Campaign](s, 201, "POST", "/v1/campaigns", body)
		p = ask[gen.Preview](s, 200, "POST", "/v1/campaigns/"+c.ID.String()+"/preview", "")
		require.Nil(t, p.Worst.NothingKnown.Email)
		require.Equal(t, "content_empty", p.Worst.NothingKnown.Problems[0].Code, "it says why")
	})
}

func TestAnEMailThatLacksWhatTheLawWantsDoesNotStart(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		body := `{"name":"x","page_id":"` + town.page.ID.String() + `","topic":"courses","content":{"email":{"subject":"s","html":"<html><body>{{ link }}</body></html>"}}}`
		c := ask[gen.Campaign](s, 201, "POST", "/v1/campaigns", body)
		got := s.refused(409, "email_incomplete", post("/v1/campaigns/"+c.ID.String()+"/start", ""))
		require.Contains(t, got, "/content/email/html")
		require.Len(t, c.Warnings, 2, "as was told before")
		s.refused(422, "invalid_fields", call{Method: "PATCH", Path: "/v1/campaigns/" + c.ID.String(), Headers: mergePatch,
			Body: `{"content":{"email":{"subject":"s","html":"<html></html>","layout":"base"}}}`})
		s.refused(422, "invalid_fields", call{Method: "PATCH", Path: "/v1/campaigns/" + c.ID.String(), Headers: mergePatch,
			Body: `{"content":{"email":{"subject":"s","text":"x","layout":"fancy"}}}`})
		ask[gen.Campaign](s, 200, "PATCH", "/v1/campaigns/"+c.ID.String(), `{"content":{"email":{"subject":"s","html":"<p>x</p>","button":{"title":"Go"}}}}`)
		ask[gen.Campaign](s, 202, "POST", "/v1/campaigns/"+c.ID.String()+"/start", "")
	})
}

func TestAPreviewTellsForWhomContentFails(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		body := `{"name":"x","page_id":"` + town.page.ID.String() + `","topic":"courses","audience":{"field":"phone","op":"exists"},
			"content":{"sms":{"text":"{% if contact.first_name == 'Dan' %}{{ link }} STOP{% endif %}"}}}`
		c := ask[gen.Campaign](s, 201, "POST", "/v1/campaigns", body)
		p := ask[gen.Preview](s, 200, "POST", "/v1/campaigns/"+c.ID.String()+"/preview", "")
		last := p.Warnings[len(p.Warnings)-1]
		require.Equal(t, "cannot_be_rendered", last.Code)
		require.Contains(t, last.Detail, "For 1 people")
	})
}

func TestADraftCanBeChangedUntilItStarts(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		c := s.newCampaign(town.page, `,"audience":{"field":"external_id","op":"eq","value":"amy"}`)
		at := "/v1/campaigns/" + c.ID.String()
		require.Equal(t, gen.Route{"window", "one_time", "sms", "email"}, c.Route)
		require.Empty(t, c.Warnings)

		p := ask[gen.Campaign](s, 200, "PATCH", at, `{"content":{"email":null,"sms":{"text":"Only this"}}}`)
		require.Nil(t, p.Content.Email)
		require.Equal(t, c.Content.Messenger, p.Content.Messenger)
		require.Equal(t, gen.Route{"window", "one_time", "sms"}, p.Route, "a route that was left out follows the content")
		require.Len(t, p.Warnings, 2)
		require.JSONEq(t, string(c.Audience), string(p.Audience))

		p = ask[gen.Campaign](s, 200, "PATCH", at, `{"audience":null,"route":["sms"],"fall_through":false,"name":"New"}`)
		require.Equal(t, "null", string(p.Audience))
		require.Equal(t, gen.Route{"sms"}, p.Route)
		require.False(t, p.FallThrough)
		p = ask[gen.Campaign](s, 200, "PATCH", at, `{"route":null}`)
		require.Equal(t, gen.Route{"window", "one_time", "sms"}, p.Route)
		require.Equal(t, p, ask[gen.Campaign](s, 200, "GET", at, ""))
		require.Equal(t, "New", ask[gen.CampaignList](s, 200, "GET", "/v1/campaigns", "").Data[0].Name)

		ask[gen.Campaign](s, 202, "POST", at+"/start", "")
		s.refused(409, "campaign_frozen", call{Method: "PATCH", Path: at, Body: `{"name":"x"}`, Headers: mergePatch})
		s.refused(409, "campaign_frozen", call{Method: "DELETE", Path: at})
		other := s.newCampaign(town.page, "")
		ask[struct{}](s, 204, "DELETE", "/v1/campaigns/"+other.ID.String(), "")
	})
}

// What an older release took and this one does not must not hide the campaign.
func TestACampaignThatIsNoLongerValidIsShownWithWarnings(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		c := s.newCampaign(s.newTown().page, "")
		require.NoError(t, s.db.Transact(t.Context(), func(tx *db.Tx) error {
			return tx.Exec(`UPDATE campaigns SET audience = '{"field":"shoe_size","op":"eq","value":7}'`).Error
		}))
		got := ask[gen.CampaignList](s, 200, "GET", "/v1/campaigns", "").Data[0]
		require.Equal(t, c.ID, got.ID)
		require.Equal(t, "/audience/field", *got.Warnings[0].Pointer)
	})
}

// A sender that the provider does not let send is told in the report.
func TestTheReportNamesStoppedSenders(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		s.carriers[channel.SMS].outcome = func(channel.Message) channel.Result {
			return channel.Result{Outcome: channel.StopTheLine, Code: "20003", Detail: "bad credentials"}
		}
		c := s.newCampaign(town.page, "")
		at := "/v1/campaigns/" + c.ID.String()
		ask[gen.Campaign](s, 202, "POST", at+"/start", "")
		require.NoError(t, s.queue.Drain(t.Context(), time.Now()))
		r := ask[gen.Report](s, 200, "GET", at+"/report", "")
		require.Equal(t, []gen.StoppedSender{{Sender: "sms", Code: "20003", Detail: "bad credentials", Since: s.clock.Now()}}, r.Stopped)
		require.EqualValues(t, 2, r.Lanes["sms"].States["pending"], "nobody is lost")
	})
}
