package messenger_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
)

func TestRecurringMessagesAreAskedForByTheirTemplate(t *testing.T) {
	t.Parallel()
	client, last := answering(t, http.StatusOK, `{"recipient_id":"1","message_id":"m_1"}`)
	r := client.AskRecurring(t.Context(), somePage, person, `News of "courses"`, "bk:optin:1")
	require.Equal(t, channel.Accepted, r.Outcome)
	require.Equal(t, "POST /v25.0/"+pageID+"/messages", last.path)
	require.JSONEq(t, `{"recipient":{"id":"`+person+`"},"messaging_type":"RESPONSE","message":{"attachment":{"type":"template","payload":
		{"template_type":"notification_messages","title":"News of \"courses\"","payload":"bk:optin:1"}}}}`, last.body)
}

func TestListOfRecurringTokensIsRead(t *testing.T) {
	t.Parallel()
	client, last := answering(t, http.StatusOK, `{"data":[
		{"notification_messages_token":"N1","recipient_id":"77","creation_timestamp":1764000000000,"token_expiry_timestamp":1779552000000,"user_token_status":"REFRESHED","topic_title":"Course news","next_eligible_time":"2025-11-26T16:00:00+0000"},
		{"notification_messages_token":"N2","recipient_id":88,"creation_timestamp":1764000000,"next_eligible_time":"2025-11-26T16:00:00Z"},
		{"notification_messages_token":"N3","recipient_id":"99","creation_timestamp":"soon","next_eligible_time":null}],
		"paging":{"cursors":{"before":"a","after":"b"},"next":"https://graph.facebook.com/…"}}`)
	got, r := client.ListRecurring(t.Context(), somePage, "x y")
	require.Equal(t, channel.Accepted, r.Outcome)
	made, later := time.Unix(1764000000, 0).UTC(), time.Date(2025, 11, 26, 16, 0, 0, 0, time.UTC)
	require.Equal(t, channel.Listing{Next: "b", Tokens: []channel.Listed{
		{Token: "N1", PSID: "77", Title: "Course news", Created: made, Expires: time.Unix(1779552000, 0).UTC(), Eligible: later, Renewed: true},
		{Token: "N2", PSID: "88", Created: made, Eligible: later},
		{Token: "N3", PSID: "99"},
	}}, got)
	require.Equal(t, "GET /v25.0/"+pageID+"/notification_message_tokens", last.path)
	require.Equal(t, url.Values{"limit": {"50"}, "after": {"x y"}, "appsecret_proof": {proofOf(pageToken)}}.Encode(), last.query)
}

func TestLastPartOfAListHasACursorAndNoNext(t *testing.T) {
	t.Parallel()
	client, _ := answering(t, http.StatusOK, `{"data":[],"paging":{"cursors":{"after":"b"}}}`)
	got, r := client.ListRecurring(t.Context(), somePage, "")
	require.Equal(t, channel.Accepted, r.Outcome)
	require.Equal(t, channel.Listing{}, got)
	_, next, r := client.Templates(t.Context(), somePage, "")
	require.Equal(t, channel.Accepted, r.Outcome)
	require.Empty(t, next)
}

func TestListThatGraphRefusesIsNoList(t *testing.T) {
	t.Parallel()
	client, _ := answering(t, http.StatusBadRequest, `{"error":{"code":200,"message":"secret words"}}`)
	got, r := client.ListRecurring(t.Context(), somePage, "")
	require.Equal(t, []any{channel.StopTheLine, "200"}, []any{r.Outcome, r.Code})
	require.Empty(t, got.Tokens)
	_, _, r = client.Templates(t.Context(), somePage, "")
	require.Equal(t, channel.StopTheLine, r.Outcome)
}

func TestTemplatesAreReadAndMade(t *testing.T) {
	t.Parallel()
	client, last := answering(t, http.StatusOK, `{"data":[{"id":"5","name":"visit","language":"en","category":"UTILITY","status":"APPROVED","components":[{"type":"BODY"}]}]}`)
	list, next, r := client.Templates(t.Context(), somePage, "")
	require.Equal(t, channel.Accepted, r.Outcome)
	require.Empty(t, next)
	require.Equal(t, []channel.Template{{GraphID: "5", Name: "visit", Language: "en", Category: "UTILITY", Status: channel.TemplateApproved, Components: json.RawMessage(`[{"type":"BODY"}]`)}}, list)
	require.Equal(t, "GET /v25.0/"+pageID+"/message_templates", last.path)

	client, last = answering(t, http.StatusOK, `{"id":"6","category":"UTILITY"}`)
	made, r := client.CreateTemplate(t.Context(), somePage, channel.Template{Name: "v", Language: "en", Category: "UTILITY", Format: "NAMED", Components: json.RawMessage(`[]`)})
	require.Equal(t, channel.Accepted, r.Outcome)
	require.Equal(t, []string{"6", "pending"}, []string{made.GraphID, made.Status}, "Graph need not say how it stands")
	require.JSONEq(t, `{"name":"v","language":"en","category":"UTILITY","parameter_format":"NAMED","components":[]}`, last.body)
}
