package api

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
)

const followUp = `{"messenger":{"text":"Thank you, {{ contact.first_name | default: 'friend' }}!"},"ask":true,
	"capture":{"channel":"email","text":"Where may we write?","consent_text":"By answering you agree to e-mails about courses."}}`

func TestACampaignSaysWhatFollows(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		page := s.newPage()
		s.newTopic("courses")
		s.newTopic("trips")
		same := func(want string, got gen.Campaign) {
			t.Helper()
			text, err := json.Marshal(got.FollowUp)
			require.NoError(t, err)
			require.JSONEq(t, want, string(text))
		}
		c := s.newCampaign(page, `,"follow_up":`+followUp)
		same(followUp, c)
		at := "/v1/campaigns/" + c.ID.String()
		same(followUp, ask[gen.Campaign](s, 200, "GET", at, ""))
		same(followUp, ask[gen.Campaign](s, 200, "PATCH", at, `{"name":"Summer"}`))
		same(`{"ask":"trips"}`, ask[gen.Campaign](s, 200, "PATCH", at, `{"follow_up":{"ask":"trips"}}`))
		same(`null`, ask[gen.Campaign](s, 200, "PATCH", at, `{"follow_up":null}`))
		same(`null`, s.newCampaign(page, ""))
	})
}

func TestWhatCannotFollowIsNamed(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		page := s.newPage()
		s.newTopic("courses")
		for follow, want := range map[string]map[string]string{
			`{}`:                              {"/follow_up": "too_short"},
			`{"ask":false}`:                   {"/follow_up": "required"},
			`{"ask":"nowhere"}`:               {"/follow_up/ask": "topic_not_found"},
			`{"ask":"unsorted"}`:              {"/follow_up/ask": "topic_unsorted"},
			`{"messenger":{"text":"{{ x"}}`:   {"/follow_up/messenger/text": "bad_template"},
			`{"thanks":{"text":"Thank you"}}`: {"/follow_up/thanks": "unknown_field"},
			`{"capture":{"channel":"email","text":" ","consent_text":"Yes"}}`: {"/follow_up/capture/text": "required"},
		} {
			w := s.do(call{Method: "POST", Path: "/v1/campaigns", Body: fmt.Sprintf(campaignBody, page.ID, `,"follow_up":`+follow)})
			require.Equal(t, 422, w.Code, "%s: %s", follow, w.Body)
			require.Equal(t, want, codes(s.problem(w)), follow)
		}
	})
}
