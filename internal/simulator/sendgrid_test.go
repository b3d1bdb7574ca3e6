package simulator

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/sendgrid/sendgrid-go/helpers/eventwebhook"
	"github.com/stretchr/testify/require"
)

func TestSendGridAcceptsAndRendersEachMail(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := b.sendgrid(t, mailTo("ann@example.org", "bob@example.org"))
	require.Equal(t, http.StatusAccepted, got.status, got.body)
	require.Empty(t, got.body)
	mails := b.sim.Mail("ann@example.org")
	require.Len(t, mails, 1)
	require.Equal(t, Mail{
		MessageID: got.header.Get("X-Message-Id"), To: "ann@example.org", From: "shop@example.com", Subject: "Hi Ann",
		Text: "Dear Ann", HTML: "<p>Ann</p>", Headers: map[string]string{}, CustomArgs: map[string]string{"rr_d": "17"},
		At: b.clock.Now(), Event: "delivered",
	}, mails[0])
	require.NotEmpty(t, mails[0].MessageID)
	require.Equal(t, map[string]int{"ann@example.org": 1, "bob@example.org": 1}, b.sim.AcceptedBy(SendGrid))
}

func TestPersonalizationOverridesTheRequest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := `{"from":{"email":"a@example.com"},"reply_to":{"email":"r@example.com"},"headers":{"X-A":"1","X-B":"1"},
		"custom_args":{"rr_b":"9","rr_d":"0"},"content":[{"type":"text/plain","value":"x"}],"personalizations":[{"to":[{"email":"ann@example.org"}],
		"from":{"email":"b@example.com"},"subject":"Own","headers":{"X-B":"2"},"custom_args":{"rr_d":"17","event":"mine"}}]}`
	require.Equal(t, http.StatusAccepted, b.sendgrid(t, body).status)
	m := b.sim.Mail("ann@example.org")[0]
	require.Equal(t, "b@example.com", m.From)
	require.Equal(t, "r@example.com", m.ReplyTo)
	require.Equal(t, "Own", m.Subject)
	require.Equal(t, map[string]string{"X-A": "1", "X-B": "2"}, m.Headers)
	drain(t, b.sim)
	events := mailEvents(t, b)
	require.Equal(t, "9", events[0]["rr_b"])
	require.Equal(t, "17", events[0]["rr_d"])
	require.Equal(t, "processed", events[0]["event"], "a reserved name wins over a custom arg")
}

func TestSendGridNamesTheFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := mailTo("ann@example.org")
	with := func(field, value string) string { return strings.Replace(good, "{", `{"`+field+`":`+value+`,`, 1) }
	one := func(field, value string) string {
		return strings.Replace(good, `[{"to"`, `[{"`+field+`":`+value+`,"to"`, 1)
	}
	instead := func(old, fresh string) string { return strings.Replace(good, old, fresh, 1) }
	long := strings.Repeat("x", 10_001)
	for name, c := range map[string]struct{ body, field string }{
		"not JSON":             {`{`, ""},
		"wrong type":           {instead(`"%%n%%":"Ann"`, `"%%n%%":1`), "personalizations.substitutions"},
		"no from":              {instead(`"from":{"email":"shop@example.com"},`, ``), "from.email"},
		"bad from":             {instead(`shop@example.com`, `shop`), "from.email"},
		"no subject":           {instead(`"subject":"Hi %%n%%",`, ``), "subject"},
		"no content":           {`{"from":{"email":"a@example.com"},"subject":"x","personalizations":[{"to":[{"email":"a@example.org"}]}]}`, "content"},
		"empty content":        {instead(`"value":"Dear %%n%%"`, `"value":""`), "content.0.value"},
		"bad content type":     {instead(`"type":"text/html"`, `"type":"html"`), "content.1.type"},
		"plain text last":      {instead(`"text/html"`, `"text/plain"`), "content"},
		"nobody":               {instead(good[strings.Index(good, `"personalizations"`):], `"personalizations":[]}`), "personalizations"},
		"1001 people":          {mailTo(strings.Split(strings.Repeat("a@example.org,", 1000)+"a@example.org", ",")...), "personalizations"},
		"bad address":          {mailTo("a@example.org", "b@example.org", "not an address"), "personalizations.2.to.0.email"},
		"address with no host": {mailTo("a@"), "personalizations.0.to.0.email"},
		"two in one":           {instead(`"to":[{`, `"to":[{"email":"b@example.org"},{`), "personalizations.0.to"},
		"copy":                 {one("cc", `[{"email":"b@example.org"}]`), "personalizations.0.to"},
		"own bad from":         {one("from", `{"email":"x"}`), "personalizations.0.from.email"},
		"own forbidden header": {one("headers", `{"To":"x"}`), "personalizations.0.headers.To"},
		"forbidden header":     {with("headers", `{"X-SG-ID":"x"}`), "headers.X-SG-ID"},
		"fat substitutions":    {instead(`"Ann"`, `"`+long+`"`), "personalizations.0.substitutions"},
		"fat custom args":      {instead(`"17"`, `"`+long+`"`), "personalizations.0.custom_args"},
		"fat root custom args": {with("custom_args", `{"a":"`+long+`"}`), "custom_args"},
		"eleven categories":    {with("categories", `["1","2","3","4","5","6","7","8","9","a","b"]`), "categories"},
		"long category":        {with("categories", `["`+long+`"]`), "categories.0"},
		"two ways to reply":    {with("reply_to_list", `[{"email":"a@example.org"}],"reply_to":{"email":"a@example.org"}`), "reply_to"},
		"bad reply":            {with("reply_to", `{"email":"a"}`), "reply_to.email"},
		"too far ahead":        {with("send_at", `1899999999`), "send_at"},
		"own too far ahead":    {one("send_at", `1899999999`), "personalizations.0.send_at"},
		"template":             {with("template_id", `"d-1"`), "template_id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := b.sendgrid(t, c.body)
			require.Equal(t, http.StatusBadRequest, got.status)
			var answer struct{ Errors []mailError }
			require.NoError(t, json.Unmarshal([]byte(got.body), &answer))
			require.Len(t, answer.Errors, 1)
			require.NotEmpty(t, answer.Errors[0].Message)
			if c.field == "" {
				require.Nil(t, answer.Errors[0].Field)
				return
			}
			require.Equal(t, c.field, *answer.Errors[0].Field)
		})
	}
}

func TestMailAddressSyntax(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"a@example.org": true, "a.b+c@sub.example.org": true, "o'neil@example.org": true, "ü@example.org": true,
		"": false, "a": false, "@example.org": false, "a@b": false, "a@@example.org": false, "a b@example.org": false,
		".a@example.org": false, "a.@example.org": false, "a..b@example.org": false, "a@-x.org": false, "a@x..org": false,
		"<a@example.org>": false, strings.Repeat("a", 65) + "@example.org": false,
	} {
		require.Equal(t, want, isMailAddress(address), address)
	}
}

func TestSendGridChecksTheKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{"/v3/scopes", "/v3/user/webhooks/event/settings/signed"} {
		require.Equal(t, http.StatusUnauthorized, b.get(t, "/sendgrid"+path).status)
		req := b.request(t, http.MethodGet, "/sendgrid"+path, "")
		req.Header.Set("Authorization", "Bearer "+testKey)
		require.Equal(t, http.StatusOK, b.do(t, req).status)
	}
	got := b.do(t, b.request(t, http.MethodPost, "/sendgrid/v3/mail/send", mailTo("ann@example.org")))
	require.Equal(t, http.StatusUnauthorized, got.status)
	require.Equal(t, map[string]int64{"401": 1}, b.sim.Counts()[SendGrid].Refused)
}

func TestSandboxSendsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := strings.Replace(mailTo("ann@example.org"), "{", `{"mail_settings":{"sandbox_mode":{"enable":true}},`, 1)
	require.Equal(t, http.StatusOK, b.sendgrid(t, body).status)
	require.Zero(t, b.sim.Counts()[SendGrid].Accepted)
}

func TestBodyOverTheLimitGetsHTML(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := b.sendgrid(t, strings.Repeat(" ", maxMailBytes+1))
	require.Equal(t, http.StatusRequestEntityTooLarge, got.status)
	require.Contains(t, got.body, "<html>")
}

// mailEvents reads the event webhooks, after checking their signature with
// SendGrid's own code.
func mailEvents(t *testing.T, b *bundle) []map[string]any {
	key, err := eventwebhook.ConvertPublicKeyBase64ToECDSA(b.sim.SendGridPublicKey())
	require.NoError(t, err)
	var all []map[string]any
	for _, c := range b.bot.take() {
		require.Equal(t, "/webhooks/sendgrid", c.path)
		ok, err := eventwebhook.VerifySignature(key, c.body,
			c.header.Get(eventwebhook.VerificationHTTPHeader), c.header.Get(eventwebhook.TimestampHTTPHeader))
		require.NoError(t, err)
		require.True(t, ok)
		var events []map[string]any
		require.NoError(t, json.Unmarshal(c.body, &events))
		all = append(all, events...)
	}
	return all
}

func TestEventsTellHowEachMailEnded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.Refuse(SendGrid, "asked@example.org", "bounce")
	want := map[string]string{
		"ann@example.org": "processed delivered", "bounce@example.org": "processed bounce/bounce",
		"bounce+2@example.org": "processed bounce/bounce", "blocked@example.org": "processed bounce/blocked",
		"dropped@example.org": "dropped:Bounced Address", "unsubscribed@example.org": "dropped:Unsubscribed Address",
		"spamreport@example.org": "processed delivered spamreport", "asked@example.org": "processed bounce/bounce",
	}
	var to []string
	for address := range want {
		to = append(to, address)
	}
	require.Equal(t, http.StatusAccepted, b.sendgrid(t, mailTo(to...)).status)
	drain(t, b.sim)
	got := map[string]string{}
	ids := map[string]bool{}
	for _, e := range mailEvents(t, b) {
		address := e["email"].(string)
		text := e["event"].(string)
		switch text {
		case "bounce":
			text += "/" + e["type"].(string)
		case "dropped":
			text += ":" + e["reason"].(string)
		}
		got[address] = strings.TrimSpace(got[address] + " " + text)
		ids[e["sg_event_id"].(string)] = true
		require.Equal(t, "17", e["rr_d"])
		require.True(t, strings.HasPrefix(e["sg_message_id"].(string), b.sim.Mail(address)[0].MessageID+"."))
	}
	require.Equal(t, want, got)
	require.Len(t, ids, 15, "each event has an id of its own")
}

func TestRefuseTurnsWholeRequestsDown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.Refuse(SendGrid, "ann@example.org", "403")
	require.Equal(t, http.StatusForbidden, b.sendgrid(t, mailTo("bob@example.org", "ann@example.org")).status)
	require.Zero(t, b.sim.Counts()[SendGrid].Accepted)
}

func TestAnAddressRefusedAsInvalidIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.Refuse(SendGrid, "bob@example.org", "invalid")
	got := b.sendgrid(t, mailTo("ann@example.org", "bob@example.org"))
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Contains(t, got.body, `"field":"personalizations.1.to.0.email"`)
	require.Zero(t, b.sim.Counts()[SendGrid].Accepted)
}

func TestOneClickUnsubscribe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	require.ErrorIs(t, b.sim.Unsubscribe(ctx, "ann@example.org"), ErrNothingToTap)
	require.Equal(t, http.StatusAccepted, b.sendgrid(t, mailTo("ann@example.org")).status)
	require.ErrorIs(t, b.sim.Unsubscribe(ctx, "ann@example.org"), ErrNothingToTap, "no such header")
	headers := func(list string) string {
		return strings.Replace(mailTo("ann@example.org"), `[{"to"`, `[{"headers":{"List-Unsubscribe":"`+list+
			`","List-Unsubscribe-Post":"List-Unsubscribe=One-Click"},"to"`, 1)
	}
	require.Equal(t, http.StatusAccepted, b.sendgrid(t, headers("<mailto:u@example.com>")).status)
	require.ErrorIs(t, b.sim.Unsubscribe(ctx, "ann@example.org"), ErrNothingToTap, "no web address")
	require.Equal(t, http.StatusAccepted, b.sendgrid(t, headers("<mailto:u@example.com>, <"+b.bot.URL+"/u/c1>")).status)
	require.NoError(t, b.sim.Unsubscribe(ctx, "ann@example.org"))
	calls := b.bot.take()
	require.Len(t, calls, 1)
	require.Equal(t, "/u/c1", calls[0].path)
	require.Equal(t, "List-Unsubscribe=One-Click", string(calls[0].body))
	b.bot.answer(http.StatusNotFound)
	require.ErrorContains(t, b.sim.Unsubscribe(ctx, "ann@example.org"), "answered 404")
}
