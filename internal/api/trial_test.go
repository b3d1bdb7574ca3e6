package api

import (
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/channel"
)

// A test goes to one contact, with everything that holds for any message, and
// leaves the campaign and its tokens alone.
func TestACampaignIsTriedOnOneContact(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		c := s.newCampaign(town.page, "")
		at := "/v1/campaigns/" + c.ID.String()
		try := func(name, more string) gen.Delivery {
			t.Helper()
			test := ask[gen.Campaign](s, 202, "POST", at+"/test", `{"contact_id":"`+town.people[name].ID.String()+`"`+more+`}`)
			require.Equal(t, c.ID, *test.TestOf)
			s.work()
			list := ask[gen.DeliveryList](s, 200, "GET", "/v1/campaigns/"+test.ID.String()+"/deliveries", "").Data
			require.Len(t, list, 1)
			require.Equal(t, town.people[name].ID, list[0].ContactID)
			require.Equal(t, gen.CampaignStateFinished, ask[gen.Campaign](s, 200, "GET", "/v1/campaigns/"+test.ID.String(), "").State)
			return list[0]
		}
		require.EqualValues(t, "window", *try("amy", "").Lane)
		require.EqualValues(t, "email", *try("amy", `,"lane":"email"`).Lane)
		require.EqualValues(t, "sms", *try("dan", "").Lane)
		require.EqualValues(t, "unreachable", try("cat", "").State, "her token is not for tests")
		require.EqualValues(t, "unreachable", try("gus", "").State, "who did not agree is not written to")
		require.Equal(t, []int{1, 1, 1}, []int{len(s.carriers[channel.Messenger].sent), len(s.carriers[channel.Email].sent), len(s.carriers[channel.SMS].sent)})

		after := ask[gen.Campaign](s, 200, "GET", at, "")
		require.Equal(t, c, after)
		require.Len(t, ask[gen.CampaignList](s, 200, "GET", "/v1/campaigns", "").Data, 1)
		require.Equal(t, map[string]string{"/lane": "not_allowed"}, s.refused(422, "invalid_fields", post(at+"/test", `{"contact_id":"`+town.people["cat"].ID.String()+`","lane":"one_time"}`)))

		s.started(town)
		require.Equal(t, gen.TokenStatusSpent, ask[gen.TokenList](s, 200, "GET", "/v1/contacts/"+town.people["cat"].ID.String()+"/tokens", "").Data[0].Status)
	})
}
