package simulator

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const twoDays = 48 * time.Hour

func toPermit(token string) string {
	return `{"recipient":{"notification_messages_token":"` + token + `"},"message":{"text":"news"}}`
}

func (b *bundle) onPage(t testing.TB, method, name, body string) reply {
	t.Helper()
	req := b.request(t, method, "/graph/v25.0/"+testPage+"/"+name, body)
	req.Header.Set("Authorization", "Bearer "+testToken)
	q := req.URL.Query()
	q.Set("appsecret_proof", proof(testSecret, testToken))
	req.URL.RawQuery = q.Encode()
	return b.do(t, req)
}

func TestRecurringTokenIsTakenOnceInTwoDays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 1)
	b.sim.CloseWindow(testPage, "psid-1")
	token := b.sim.GrantRecurring(testPage, "psid-1")
	require.Equal(t, http.StatusOK, b.graph(t, toPermit(token)).status)
	require.True(t, b.sim.Received(testPage, "psid-1")[0].ByToken)
	require.Equal(t, "4/2018354", b.graph(t, toPermit(token)).code(t))
	b.clock.add(twoDays)
	require.Equal(t, http.StatusOK, b.graph(t, toPermit(token)).status)
	require.Equal(t, "100", b.graph(t, toPermit("made-up")).code(t))
	b.clock.add(permitLife)
	require.Equal(t, "100", b.graph(t, toPermit(token)).code(t))
}

func TestPersonGivesStopsAndResumesByWebhook(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 1)
	_, err := b.sim.TapGetUpdates(t.Context(), testPage, "psid-1")
	require.ErrorIs(t, err, ErrNothingToTap)
	ask := `{"attachment":{"type":"template","payload":{"template_type":"notification_messages","title":"Course news","payload":"P","notification_messages_cta_text":"SIGN_UP"}}}`
	require.Equal(t, http.StatusOK, b.graph(t, toPSID("psid-1", ask)).status)
	token, err := b.sim.TapGetUpdates(t.Context(), testPage, "psid-1")
	require.NoError(t, err)
	require.NoError(t, b.sim.StopRecurring(t.Context(), token))
	require.Equal(t, "10/1893015", b.graph(t, toPermit(token)).code(t))
	require.NoError(t, b.sim.ResumeRecurring(t.Context(), token))
	require.Equal(t, http.StatusOK, b.graph(t, toPermit(token)).status)
	require.ErrorIs(t, b.sim.StopRecurring(t.Context(), "made-up"), ErrNothingToTap)

	var status []any
	for _, m := range messaging(t, b.bot.take()) {
		optIn, _ := m["optin"].(map[string]any)
		require.Equal(t, []any{"notification_messages", "P", "Course news", token}, []any{optIn["type"], optIn["payload"], optIn["title"], optIn["notification_messages_token"]})
		status = append(status, optIn["notification_messages_status"])
	}
	require.Equal(t, []any{nil, "STOP_NOTIFICATIONS", "RESUME NOTIFICATIONS"}, status)
}

func TestRequestsForRecurringMessagesAreChecked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 1)
	for _, payload := range []string{`"title":"x"`, `"payload":"P","notification_messages_cta_text":"PLEASE"`, `"payload":"P","title":"` + strings.Repeat("x", 66) + `"`} {
		ask := `{"attachment":{"type":"template","payload":{"template_type":"notification_messages",` + payload + `}}}`
		require.Equal(t, "100", b.graph(t, toPSID("psid-1", ask)).code(t), payload)
	}
}

func TestListOfRecurringTokensComesInParts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 3)
	for _, psid := range []string{"psid-1", "psid-2", "psid-3"} {
		b.sim.GrantRecurring(testPage, psid)
	}
	type part struct {
		Data   []map[string]any
		Paging struct {
			Cursors struct{ After string }
			Next    string
		}
	}
	read := func(query string) (p part) {
		got := b.onPage(t, http.MethodGet, "notification_message_tokens?"+query, "")
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.NoError(t, json.Unmarshal([]byte(got.body), &p))
		return p
	}
	first := read("limit=2")
	require.Len(t, first.Data, 2)
	require.NotEmpty(t, first.Paging.Next)
	last := read("limit=2&after=" + first.Paging.Cursors.After)
	require.Len(t, last.Data, 1)
	require.Empty(t, last.Paging.Next)
	require.Equal(t, "psid-3", last.Data[0]["recipient_id"])
	require.Equal(t, "100", b.onPage(t, http.MethodGet, "notification_message_tokens?limit=1000", "").code(t))
}

func TestUtilityTemplatesAreMadeReviewedAndFilled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 1)
	b.sim.CloseWindow(testPage, "psid-1")
	b.sim.SlowReview()
	const template = `{"name":"order","language":"en","category":"UTILITY","components":[{"type":"BODY","text":"It comes on {{day}}","example":{"body_text_named_params":[]}},{"type":"BUTTONS","buttons":[{"type":"POSTBACK","text":"Fine"}]}]}`
	got := b.onPage(t, http.MethodPost, "message_templates", template)
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Contains(t, got.body, "PENDING")
	require.Equal(t, "100/2388023", b.onPage(t, http.MethodPost, "message_templates", template).code(t))
	send := func(components string) reply {
		return b.graph(t, `{"recipient":{"id":"psid-1"},"messaging_type":"UTILITY","message":{"template":{"name":"order","language":{"code":"en"},"components":`+components+`}}}`)
	}
	const whole = `[{"type":"body","parameters":[{"type":"text","parameter_name":"day","text":"Monday"}]},{"type":"buttons","parameters":[{"type":"POSTBACK","payload":"F"}]}]`
	require.Equal(t, "100", send(whole).code(t), "not approved yet")
	require.NoError(t, b.sim.ReviewTemplate(t.Context(), testPage, "order", "en", "APPROVED", "NONE"))
	require.Contains(t, string(b.bot.take()[0].body), "message_template_status_update")
	require.Equal(t, http.StatusOK, send(whole).status)
	for _, wrong := range []string{`[]`, `[{"type":"body","parameters":[{"type":"text","parameter_name":"month","text":"May"}]}]`,
		`[{"type":"body","parameters":[{"type":"text","parameter_name":"day","text":""}]}]`} {
		require.Equal(t, "100", send(wrong).code(t), wrong)
	}
	require.Contains(t, b.onPage(t, http.MethodGet, "message_templates", "").body, `"name":"order"`)
	for _, wrong := range []string{`{`, `{"name":"X","language":"en","category":"UTILITY"}`, `{"name":"x","language":"en","category":"MARKETING","components":[]}`,
		`{"name":"x","language":"en","category":"UTILITY","components":[{"type":"BODY","text":"{{1}}"}]}`, `{"name":"x","language":"en","category":"UTILITY","components":[]}`} {
		require.Equal(t, "100", b.onPage(t, http.MethodPost, "message_templates", wrong).code(t), wrong)
	}
}
