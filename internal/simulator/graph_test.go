package simulator

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGraphAcceptsAndAnswersLikeTheSendAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 1)
	got := b.graph(t, toPSID("psid-1", `{"text":"hello","metadata":"d17"}`))
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Contains(t, got.header.Get("X-Business-Use-Case-Usage"), `"`+testPage+`":[{"type":"messenger","call_count":0`)

	inbox := b.sim.Received(testPage, "psid-1")
	require.Len(t, inbox, 1)
	require.JSONEq(t, `{"recipient_id":"psid-1","message_id":"`+inbox[0].MID+`"}`, got.body)
	require.Equal(t, "hello", inbox[0].Text)
	require.Equal(t, "d17", inbox[0].Metadata)
	require.JSONEq(t, `{"text":"hello","metadata":"d17"}`, string(inbox[0].Raw))
}

func TestGraphTakesTheTokenFromHeaderQueryOrBody(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.AppSecret = "" })
	b.sim.AddPeople(testPage, 1)
	message := toPSID("psid-1", `{"text":"x"}`)
	inBody := strings.Replace(message, "{", `{"access_token":"`+testToken+`",`, 1)
	for _, req := range []*http.Request{
		b.request(t, http.MethodPost, "/graph/v25.0/me/messages?access_token="+testToken, message),
		b.request(t, http.MethodPost, "/graph/v24.0/"+testPage+"/messages", inBody),
	} {
		require.Equal(t, http.StatusOK, b.do(t, req).status)
	}
}

func TestGraphChecksCredentials(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 1)
	message := toPSID("psid-1", `{"text":"x"}`)
	right := "?appsecret_proof=" + proof(testSecret, testToken)
	for name, c := range map[string]struct{ path, token, code string }{
		"no token":          {"/graph/v25.0/me/messages", "", "190"},
		"wrong token":       {"/graph/v25.0/me/messages" + right, "wrong", "190"},
		"no proof":          {"/graph/v25.0/me/messages", testToken, "100"},
		"wrong proof":       {"/graph/v25.0/me/messages?appsecret_proof=00", testToken, "100"},
		"another's page":    {"/graph/v25.0/1002/messages" + right, testToken, "100/33"},
		"no version":        {"/graph/latest/me/messages" + right, testToken, "2500"},
		"no such path":      {"/graph/v25.0/me/letters" + right, testToken, "2500"},
		"version of halves": {"/graph/v25.5/me/messages" + right, testToken, "2500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := b.request(t, http.MethodPost, c.path, message)
			req.Header.Set("Authorization", "Bearer "+c.token)
			require.Equal(t, c.code, b.do(t, req).code(t))
		})
	}
}

func TestGraphChecksTheMessage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 1)
	x := func(n int) string { return strings.Repeat("é", n) }
	reply := `{"content_type":"text","title":"Yes","payload":"Y"}`
	button := `{"type":"postback","title":"Go","payload":"GO"}`
	template := func(payload string) string { return `{"attachment":{"type":"template","payload":{` + payload + `}}}` }
	for name, c := range map[string]struct {
		message string
		ok      bool
	}{
		"text at the limit":         {`{"text":"` + x(2000) + `"}`, true},
		"text over the limit":       {`{"text":"` + x(2001) + `"}`, false},
		"empty text":                {`{"text":""}`, false},
		"nothing":                   {`{}`, false},
		"text and attachment":       {`{"text":"x","attachment":{"type":"image","payload":{"url":"https://e.x/i"}}}`, false},
		"image":                     {`{"attachment":{"type":"image","payload":{"url":"https://e.x/i"}}}`, true},
		"image with no source":      {`{"attachment":{"type":"image","payload":{}}}`, false},
		"unknown attachment":        {`{"attachment":{"type":"hologram","payload":{"url":"https://e.x/i"}}}`, false},
		"13 quick replies":          {`{"text":"x","quick_replies":[` + strings.Repeat(reply+",", 12) + reply + `]}`, true},
		"14 quick replies":          {`{"text":"x","quick_replies":[` + strings.Repeat(reply+",", 13) + reply + `]}`, false},
		"long quick reply":          {`{"text":"x","quick_replies":[{"content_type":"text","title":"` + x(21) + `","payload":"Y"}]}`, false},
		"quick reply, no payload":   {`{"text":"x","quick_replies":[{"content_type":"text","title":"Y"}]}`, false},
		"quick reply, long payload": {`{"text":"x","quick_replies":[{"content_type":"text","title":"Y","payload":"` + x(1001) + `"}]}`, false},
		"e-mail chip":               {`{"text":"x","quick_replies":[{"content_type":"user_email"}]}`, true},
		"unknown chip":              {`{"text":"x","quick_replies":[{"content_type":"user_shoe_size"}]}`, false},
		"long metadata":             {`{"text":"x","metadata":"` + strings.Repeat("m", 1001) + `"}`, false},
		"buttons":                   {template(`"template_type":"button","text":"x","buttons":[` + button + `]`), true},
		"no button":                 {template(`"template_type":"button","text":"x","buttons":[]`), false},
		"four buttons":              {template(`"template_type":"button","text":"x","buttons":[` + strings.Repeat(button+",", 3) + button + `]`), false},
		"long button text":          {template(`"template_type":"button","text":"` + x(641) + `","buttons":[` + button + `]`), false},
		"long button title":         {template(`"template_type":"button","text":"x","buttons":[{"type":"web_url","url":"https://e.x","title":"` + x(21) + `"}]`), false},
		"button with no url":        {template(`"template_type":"button","text":"x","buttons":[{"type":"web_url","title":"Go"}]`), false},
		"unknown button":            {template(`"template_type":"button","text":"x","buttons":[{"type":"lever","title":"Go"}]`), false},
		"generic":                   {template(`"template_type":"generic","elements":[{"title":"T","subtitle":"S","buttons":[` + button + `]}]`), true},
		"generic, title only":       {template(`"template_type":"generic","elements":[{"title":"T"}]`), false},
		"generic, none":             {template(`"template_type":"generic","elements":[]`), false},
		"generic, long subtitle":    {template(`"template_type":"generic","elements":[{"title":"T","subtitle":"` + x(81) + `"}]`), false},
		"notify me":                 {template(`"template_type":"one_time_notif_req","title":"` + x(65) + `","payload":"courses"`), true},
		"notify me, long title":     {template(`"template_type":"one_time_notif_req","title":"` + x(66) + `","payload":"courses"`), false},
		"notify me, no payload":     {template(`"template_type":"one_time_notif_req","title":"News"`), false},
		"unknown template":          {template(`"template_type":"receipt"`), false},
		"template without type":     {`{"template":{"name":"visit","language":{"code":"en"}}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := b.graph(t, toPSID("psid-1", c.message))
			if c.ok {
				require.Equal(t, http.StatusOK, got.status, got.body)
				return
			}
			require.Equal(t, http.StatusBadRequest, got.status)
			require.Equal(t, "100", got.code(t))
		})
	}
}

func TestGraphChecksRecipientAndType(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 1)
	for name, c := range map[string]struct{ body, code string }{
		"not JSON":          {`{`, "100"},
		"no recipient":      {`{"messaging_type":"UPDATE","message":{"text":"x"}}`, "100"},
		"two recipients":    {`{"recipient":{"id":"psid-1","one_time_notif_token":"t"},"messaging_type":"UPDATE","message":{"text":"x"}}`, "100"},
		"recurring token":   {`{"recipient":{"notification_messages_token":"t"},"message":{"text":"x"}}`, "100"},
		"no message":        {`{"recipient":{"id":"psid-1"},"messaging_type":"UPDATE"}`, "100"},
		"no type":           {`{"recipient":{"id":"psid-1"},"message":{"text":"x"}}`, "100"},
		"unknown type":      {`{"recipient":{"id":"psid-1"},"messaging_type":"GREETING","message":{"text":"x"}}`, "100"},
		"retired tag":       {`{"recipient":{"id":"psid-1"},"messaging_type":"MESSAGE_TAG","tag":"ACCOUNT_UPDATE","message":{"text":"x"}}`, "100"},
		"unknown person":    {toPSID("nobody", `{"text":"x"}`), "100/2018001"},
		"unknown token":     {toToken("otn-none"), "100"},
		"utility, unknown":  {`{"recipient":{"id":"psid-1"},"messaging_type":"UTILITY","message":{"template":{"name":"visit","language":{"code":"de"}}}}`, "100"},
		"utility with text": {`{"recipient":{"id":"psid-1"},"messaging_type":"UTILITY","message":{"text":"x"}}`, "100"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.code, b.graph(t, c.body).code(t))
		})
	}
}

func TestGraphKeepsTheWindow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 1)
	hello := toPSID("psid-1", `{"text":"x"}`)
	b.clock.add(24 * time.Hour)
	require.Equal(t, http.StatusOK, b.graph(t, hello).status)
	b.clock.add(time.Second)
	require.Equal(t, "10/2018278", b.graph(t, hello).code(t))

	utility := `{"recipient":{"id":"psid-1"},"messaging_type":"UTILITY","message":{"template":{"name":"visit","language":{"code":"en"}}}}`
	require.Equal(t, http.StatusOK, b.graph(t, utility).status, "an approved template needs no window")
	require.NoError(t, b.sim.Say(t.Context(), testPage, "psid-1", "hi"))
	require.Equal(t, http.StatusOK, b.graph(t, hello).status)
	b.sim.CloseWindow(testPage, "psid-1")
	require.Equal(t, "10/2018278", b.graph(t, hello).code(t))
}

func TestTokenIsGoodOnceAndForAYear(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.CloseWindow(testPage, "ann")
	first, second := b.sim.GrantToken(testPage, "ann"), b.sim.GrantToken(testPage, "ann")
	require.Equal(t, "otn-1001-ann-1", first)

	got := b.graph(t, toToken(first))
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Contains(t, got.body, `"recipient_id":"ann"`)
	require.True(t, b.sim.Received(testPage, "ann")[0].ByToken)

	again := b.graph(t, toToken(first))
	require.Equal(t, "100", again.code(t))
	require.Contains(t, again.body, "already been used")

	b.clock.add(tokenLife)
	require.Contains(t, b.graph(t, toToken(second)).body, "has expired")
	third := b.sim.GrantToken(testPage, "ann")
	b.sim.ExpireToken(third)
	b.sim.ExpireToken("unknown")
	require.Contains(t, b.graph(t, toToken(third)).body, "has expired")
	require.Contains(t, b.graph(t, toToken(b.sim.GrantToken("1002", "bob"))).body, "is invalid", "another Page's token")
}

func TestBlockedPersonGetsNothingAndKeepsTheToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 1)
	token := b.sim.GrantToken(testPage, "psid-1")
	b.sim.Block(testPage, "psid-1")
	require.Equal(t, "551/1545041", b.graph(t, toPSID("psid-1", `{"text":"x"}`)).code(t))
	require.Equal(t, "551/1545041", b.graph(t, toToken(token)).code(t))
	b.sim.Unblock(testPage, "psid-1")
	require.Equal(t, http.StatusOK, b.graph(t, toToken(token)).status)
}

func TestRefuseGivesTheCodeAskedFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 1)
	hello := toPSID("psid-1", `{"text":"x"}`)
	b.sim.Refuse(Graph, "*", "10/1893063")
	require.Equal(t, "10/1893063", b.graph(t, hello).code(t))
	b.sim.Refuse(Graph, "*", "")
	b.sim.Refuse(Graph, "psid-1", "190")
	require.Equal(t, "190", b.graph(t, hello).code(t))
	b.sim.Refuse(Graph, "psid-1", "")
	require.Equal(t, http.StatusOK, b.graph(t, hello).status)
	require.Equal(t, map[string]int64{"10/1893063": 1, "190": 1}, b.sim.Counts()[Graph].Refused)
}

func TestPageAnswersForItself(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.AppSecret = "" })
	call := func(method, path, body string) reply {
		req := b.request(t, method, "/graph/v25.0/"+path, body)
		req.Header.Set("Authorization", "Bearer "+testToken)
		return b.do(t, req)
	}
	require.Contains(t, call(http.MethodGet, testPage, "").body, `"id":"1001"`)
	require.JSONEq(t, `{"data":[]}`, call(http.MethodGet, "me/subscribed_apps", "").body)
	require.Equal(t, "100", call(http.MethodPost, "me/subscribed_apps", "").code(t))
	require.Equal(t, http.StatusOK, call(http.MethodPost, "me/subscribed_apps?subscribed_fields=messages,messaging_optins", "").status)
	require.Contains(t, call(http.MethodGet, "me/subscribed_apps", "").body, `["messages","messaging_optins"]`)
	require.Equal(t, "100", call(http.MethodPost, "me/subscribed_apps?subscribed_fields=messages,no_such_field", "").code(t))
	require.Equal(t, http.StatusOK, call(http.MethodDelete, "me/subscribed_apps", "").status)
	require.Empty(t, b.sim.Subscription(testPage))
	require.Equal(t, "100", call(http.MethodGet, "debug_token", "").code(t))
	require.Contains(t, call(http.MethodGet, "debug_token?input_token="+testToken, "").body, `"is_valid":true`)
	require.Contains(t, call(http.MethodGet, "debug_token?input_token=x", "").body, `"is_valid":false`)
	require.Equal(t, "100", call(http.MethodPost, "me/messenger_profile", "x").code(t))
	require.JSONEq(t, `{"data":[{"get_started":{"payload":"GET_STARTED"}}]}`, call(http.MethodGet, "me/messenger_profile?fields=get_started", "").body)
	require.Equal(t, http.StatusOK, call(http.MethodPost, "me/messenger_profile", `{"get_started":{"payload":"GO"}}`).status)
	require.NoError(t, b.sim.GetStarted(t.Context(), testPage, "ann", "r"))
	require.Contains(t, string(b.bot.take()[0].body), `"payload":"GO"`)

	b.sim.AddPage(testPage, "new-token")
	for _, path := range []string{testPage, "me/subscribed_apps"} {
		require.Equal(t, "190", call(http.MethodGet, path, "").code(t), "the old token is dead")
	}
	for _, path := range []string{"me/subscribed_apps", "me/messenger_profile"} {
		require.Equal(t, "190", call(http.MethodPost, path, "{}").code(t))
	}
}

func TestAPageCanBeSetUpBadly(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.AppSecret = "" })
	call := func(method, path string) reply {
		req := b.request(t, method, "/graph/v25.0/"+path, "")
		req.Header.Set("Authorization", "Bearer "+testToken)
		return b.do(t, req)
	}
	b.sim.SetUpPage("unknown", PageSetup{Revoked: true})
	b.sim.SetUpPage(testPage, PageSetup{Scopes: []string{"pages_messaging"}, Expires: time.Unix(1800000000, 0), Denied: []string{"standby"}, NoGetStarted: true})
	require.JSONEq(t, `{"data":[]}`, call(http.MethodGet, "me/messenger_profile?fields=get_started").body)
	require.Equal(t, "200", call(http.MethodPost, "me/subscribed_apps?subscribed_fields=messages,standby").code(t))
	require.Contains(t, call(http.MethodGet, "debug_token?input_token="+testToken).body, `"expires_at":1800000000`)
	b.sim.SetSubscription(testPage, "messages")
	require.Equal(t, []string{"messages"}, b.sim.Subscription(testPage))
	b.sim.SetUpPage(testPage, PageSetup{Revoked: true})
	require.Contains(t, call(http.MethodGet, "debug_token?input_token="+testToken).body, `"is_valid":false`)
	require.Equal(t, "190", call(http.MethodGet, "me/subscribed_apps").code(t))
}
