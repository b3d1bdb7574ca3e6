package api

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
)

// A permission is moved to the topic it was given for, and taken back.
func TestATokenIsMovedAndRevoked(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		s.newTopic("sales")
		at := "/v1/contacts/" + town.people["cat"].ID.String() + "/tokens/" + town.token.String()
		moved := ask[gen.Token](s, 200, "PATCH", at, `{"topic":"sales"}`)
		require.Equal(t, "sales", moved.Topic)
		require.Equal(t, gen.TokenStatusAvailable, moved.Status)
		for range 2 {
			require.Equal(t, 204, s.do(call{Method: "DELETE", Path: at}).Code)
		}
		list := ask[gen.TokenList](s, 200, "GET", "/v1/contacts/"+town.people["cat"].ID.String()+"/tokens", "")
		require.Equal(t, gen.TokenStatusVoid, list.Data[0].Status)
		s.refused(404, "token_not_found", call{Method: "PATCH", Path: at, Body: `{"topic":"courses"}`, Headers: mergePatch})
		others := "/v1/contacts/" + town.people["amy"].ID.String() + "/tokens/" + town.token.String()
		s.refused(404, "token_not_found", call{Method: "DELETE", Path: others})
	})
}

// Who may be asked now is a filter of the list, and an audience of campaigns.
func TestPeopleWhoMayBeAskedAreListed(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		list := func(rules string) (names []string) {
			l := ask[gen.ContactList](s, 200, "GET", "/v1/contacts?audience="+url.QueryEscape(rules), "")
			for _, c := range l.Data {
				names = append(names, *c.ExternalID)
			}
			return names
		}
		rule := `{"field":"may_be_asked","op":"eq","value":"courses","page":"` + town.page.ID.String() + `"}`
		require.ElementsMatch(t, []string{"amy", "ben"}, list(rule))
		ask[gen.OptInRequest](s, 201, "POST", "/v1/opt-in-requests", `{"contact_id":"`+town.people["amy"].ID.String()+`","page_id":"`+town.page.ID.String()+`","topic":"courses"}`)
		require.Equal(t, []string{"ben"}, list(rule))
		require.Equal(t, []string{"cat"}, list(`{"field":"has_token","op":"eq","value":"courses"}`))
		bad := s.refused(422, "invalid_fields", call{Method: "GET", Path: "/v1/contacts?audience=" + url.QueryEscape(`{"field":"shoe_size","op":"eq","value":7}`)})
		require.Equal(t, map[string]string{"/query/audience/field": "unknown_field"}, bad)
		c := s.newCampaign(town.page, `,"audience":`+rule)
		preview := ask[gen.Preview](s, 200, "POST", "/v1/campaigns/"+c.ID.String()+"/preview", "")
		require.EqualValues(t, 1, preview.Audience)
	})
}
