package simulator

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twilio/twilio-go/client"
)

func TestTwilioAnswersWithTheWholeResource(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range map[string]struct {
		form                      url.Values
		status, segments, service string
		from                      any
	}{
		"service": {url.Values{}, "accepted", "0", testService, nil},
		"number":  {url.Values{"MessagingServiceSid": nil, "From": {"+15005550006"}}, "queued", "1", "", "+15005550006"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := b.twilio(t, c.form)
			require.Equal(t, http.StatusCreated, got.status, got.body)
			var m map[string]any
			require.NoError(t, json.Unmarshal([]byte(got.body), &m))
			require.Len(t, m, 20)
			require.Regexp(t, regexp.MustCompile(`^SM[0-9a-f]{32}$`), m["sid"])
			require.Equal(t, c.status, m["status"])
			require.Equal(t, c.segments, m["num_segments"])
			require.Equal(t, c.from, m["from"])
			require.Equal(t, "Sun, 22 Nov 2026 09:00:00 +0000", m["date_created"])
			require.Nil(t, m["date_sent"])
			require.Nil(t, m["error_code"])
			require.Equal(t, "/2010-04-01/Accounts/"+testAccount+"/Messages/"+m["sid"].(string)+".json", m["uri"])
		})
	}
}

func TestTwilioRefusesWithItsCodes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range map[string]struct {
		form url.Values
		code int
	}{
		"no To":                    {url.Values{"To": nil}, 21604},
		"To not E.164":             {url.Values{"To": {"0123456789"}}, 21211},
		"To with letters":          {url.Values{"To": {"+1415555CALL"}}, 21211},
		"no sender":                {url.Values{"MessagingServiceSid": nil}, 21603},
		"bad service":              {url.Values{"MessagingServiceSid": {"MGx"}}, 21703},
		"no body":                  {url.Values{"Body": nil}, 21602},
		"long body":                {url.Values{"Body": {strings.Repeat("é", 1601)}}, 21617},
		"relative callback":        {url.Values{"StatusCallback": {"/status"}}, 21609},
		"underscore in host":       {url.Values{"StatusCallback": {"http://my_host/status"}}, 21609},
		"validity zero":            {url.Values{"ValidityPeriod": {"0"}}, 90007},
		"validity of eleven hours": {url.Values{"ValidityPeriod": {"39600"}}, 90007},
		"magic: invalid":           {url.Values{"To": {"+15005550001"}}, 21211},
		"magic: no route":          {url.Values{"To": {"+15005550002"}}, 21612},
		"magic: region":            {url.Values{"To": {"+15005550003"}}, 21408},
		"magic: opted out":         {url.Values{"To": {"+15005550004"}}, 21610},
		"magic: landline":          {url.Values{"To": {"+15005550009"}}, 21614},
		"magic: bad sender":        {url.Values{"From": {"+15005550001"}}, 21212},
		"magic: not owned":         {url.Values{"From": {"+15005550007"}}, 21606},
		"magic: queue full":        {url.Values{"From": {"+15005550008"}}, 21611},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := b.twilio(t, c.form)
			require.Equal(t, http.StatusBadRequest, got.status)
			var e twilioError
			require.NoError(t, json.Unmarshal([]byte(got.body), &e))
			require.Equal(t, c.code, e.Code)
			require.NotEmpty(t, e.Message)
			require.NotContains(t, e.Message, "%s")
			require.NotEmpty(t, e.MoreInfo)
		})
	}
	fits := b.twilio(t, url.Values{"Body": {strings.Repeat("é", 1600)}, "ValidityPeriod": {"36000"}})
	require.Equal(t, http.StatusCreated, fits.status)
}

func TestTwilioChecksCredentials(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{"/Messages.json", ".json"} {
		req := b.twilioRequest(t, http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, b.do(t, req).status)
		req = b.twilioRequest(t, http.MethodGet, path, "")
		req.SetBasicAuth(testAccount, "wrong")
		got := b.do(t, req)
		require.Equal(t, http.StatusUnauthorized, got.status)
		require.Contains(t, got.body, `"code":20003`)
	}
	req := b.twilioRequest(t, http.MethodPost, "/Messages.json", "To=%2B14155550100")
	req.Header.Del("Authorization")
	require.Equal(t, http.StatusUnauthorized, b.do(t, req).status)
	req = b.twilioRequest(t, http.MethodPost, "/Messages.json", "")
	req.URL.Path = "/twilio/2010-04-01/Accounts/ACother/Messages.json"
	require.Equal(t, http.StatusNotFound, b.do(t, req).status)
	req = b.twilioRequest(t, http.MethodGet, ".xml", "")
	require.Equal(t, http.StatusNotFound, b.do(t, req).status)
	req = b.twilioRequest(t, http.MethodPost, "/Messages.json", "%zz")
	require.Contains(t, b.do(t, req).body, `"code":20001`)
}

func TestStatusCallbacksAreSignedForTwiliosOwnValidator(t *testing.T) {
	t.Parallel()
	b := setup(t)
	target := b.bot.URL + "/webhooks/twilio/status/17?s=a%20b"
	require.Equal(t, http.StatusCreated, b.twilio(t, url.Values{"StatusCallback": {target + "#rc=2&rp=5xx"}}).status)
	require.Equal(t, http.StatusCreated, b.twilio(t, nil).status, "no callback asked for")
	b.sim.Refuse(Twilio, "+14155550111", "30003")
	require.Equal(t, http.StatusCreated, b.twilio(t, url.Values{"To": {"+14155550111"}, "StatusCallback": {target}}).status)
	drain(t, b.sim)

	var statuses []string
	validator := client.NewRequestValidator(testAuth)
	for _, c := range b.bot.take() {
		form, err := url.ParseQuery(string(c.body))
		require.NoError(t, err)
		flat := map[string]string{}
		for k := range form {
			flat[k] = form.Get(k)
		}
		require.True(t, validator.Validate(target, flat, c.header.Get("X-Twilio-Signature")))
		require.NotEmpty(t, c.header.Get("I-Twilio-Idempotency-Token"))
		require.Equal(t, testService, flat["MessagingServiceSid"])
		statuses = append(statuses, flat["MessageStatus"]+flat["ErrorCode"])
	}
	require.Equal(t, []string{"sent", "delivered", "sent", "undelivered30003"}, statuses)
}

func TestTwilioSignatureFitsThePublishedVectors(t *testing.T) {
	t.Parallel()
	form := url.Values{
		"CallSid": {"CA1234567890ABCDE"}, "Digits": {"1234"}, "From": {"+14158675309"}, "To": {"+18005551212"},
		"Caller": {"+14158675309"},
	}
	target := "https://mycompany.com/myapp.php?foo=1&bar=2"
	require.Equal(t, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", twilioSignature("12345", target, form))
	form = url.Values{"Sid": {"CA123"}, "SidAccount": {"AC123"}, "Digits": {"5678", "1234", "1234"}}
	require.Equal(t, "IK+Dwps556ElfBT0I3Rgjkr1wJU=", twilioSignature("12345", target, form))
}

func TestTwilioRetriesOnlyAsTheCallbackURLSays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fragment string
		status   int
		tries    int
	}{
		"default: not on an answer": {"", 500, 1},
		"5xx":                       {"#rc=3&rp=5xx", 500, 4},
		"4xx does not cover 5xx":    {"#rc=3&rp=4xx", 500, 1},
		"all":                       {"#rc=2&rp=all", 404, 3},
		"several":                   {"#rc=5&rp=ct,4xx", 404, 6},
		"too many are not granted":  {"#rc=9&rp=all", 404, 2},
		"nonsense":                  {"#rc=x&rp=sometimes", 404, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.bot.answer(c.status)
			require.Equal(t, http.StatusCreated, b.twilio(t, url.Values{"StatusCallback": {b.bot.URL + "/s" + c.fragment}}).status)
			require.Error(t, b.sim.Drain(t.Context()))
			require.Len(t, b.bot.take(), 2*c.tries)
			require.Equal(t, CallbackCount{Lost: 2}, b.sim.Counts()[Twilio].Callbacks)
		})
	}
	retries, on := retryPolicy("")
	require.Equal(t, 1, retries)
	require.True(t, on(0))
}

func TestStopIsKeptUntilStart(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.AdvancedOptOut = true })
	ctx := t.Context()
	require.NoError(t, b.sim.Text(ctx, "+14155550100", " stop "))
	require.Contains(t, b.twilio(t, nil).body, `"code":21610`)
	require.NoError(t, b.sim.Text(ctx, "+14155550100", "START"))
	require.Equal(t, http.StatusCreated, b.twilio(t, nil).status)
	require.NoError(t, b.sim.Text(ctx, "+14155550100", "help"))
	require.NoError(t, b.sim.Text(ctx, "+14155550100", "What is this?"))

	var types []string
	validator := client.NewRequestValidator(testAuth)
	for _, c := range b.bot.take() {
		form, err := url.ParseQuery(string(c.body))
		require.NoError(t, err)
		flat := map[string]string{}
		for k := range form {
			flat[k] = form.Get(k)
		}
		require.True(t, validator.Validate(b.bot.URL+"/webhooks/twilio/inbound", flat, c.header.Get("X-Twilio-Signature")))
		require.Equal(t, "+14155550100", flat["From"])
		types = append(types, flat["OptOutType"])
	}
	require.Equal(t, []string{"STOP", "START", "HELP", ""}, types)
	b.bot.answer(http.StatusForbidden)
	require.ErrorContains(t, b.sim.Text(ctx, "+14155550100", "x"), "twilio callback: answered 403")
}

func TestTheAnswerToATextIsTwiML(t *testing.T) {
	t.Parallel()
	b := setup(t)
	answer := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
	t.Cleanup(server.Close)
	b.sim.SetCallbackURL(server.URL)
	for said, fine := range map[string]bool{"": true, "<Response/>": true, `<?xml version="1.0" encoding="UTF-8"?><Response></Response>`: true, "ok": false, "<html/>": false, "<Response>": false} {
		answer = said
		require.Equal(t, fine, b.sim.Text(t.Context(), "+14155550100", "hi") == nil, "%q", said)
	}
	require.Empty(t, b.sim.Texts("+14155550100"))
	answer = "<Response><Message>Questions &amp; prices</Message></Response>"
	require.NoError(t, b.sim.Text(t.Context(), "+14155550100", "HELP"))
	got := b.sim.Texts("+14155550100")
	require.Len(t, got, 1)
	require.Equal(t, "Questions & prices", got[0].Body)
}

func TestTwilioListsNewestFirstInPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, body := range []string{"one", "two", "three"} {
		require.Equal(t, http.StatusCreated, b.twilio(t, url.Values{"Body": {body}}).status)
		b.clock.add(24 * time.Hour)
	}
	require.Equal(t, http.StatusCreated, b.twilio(t, url.Values{"To": {"+14155550199"}, "Body": {"other"}}).status)

	list := func(query string) (bodies []string, next string) {
		got := b.do(t, b.twilioRequest(t, http.MethodGet, query, ""))
		require.Equal(t, http.StatusOK, got.status, got.body)
		var page struct {
			Messages []wireSMS
			Next     *string `json:"next_page_uri"`
		}
		require.NoError(t, json.Unmarshal([]byte(got.body), &page))
		for _, m := range page.Messages {
			bodies = append(bodies, m.Body)
		}
		if page.Next != nil {
			next = *page.Next
		}
		return bodies, next
	}
	to := "/Messages.json?To=%2B14155550100"
	for query, want := range map[string][]string{
		"/Messages.json":                         {"other", "three", "two", "one"},
		to:                                       {"three", "two", "one"},
		to + "&DateSent=2026-11-23":              {"two"},
		to + "&DateSent%3E=2026-11-23":           {"three", "two"},
		to + "&DateSent%3C=2026-11-23":           {"two", "one"},
		to + "&DateSent%3E=2026-11-24T08:00:00Z": {"three"},
		to + "&From=%2B15005550006":              nil,
		to + "&PageSize=2&Page=1":                {"one"},
		to + "&PageSize=2&Page=7":                nil,
	} {
		got, _ := list(query)
		require.Equal(t, want, got, query)
	}
	first, next := list(to + "&PageSize=2")
	require.Equal(t, []string{"three", "two"}, first)
	path, ok := strings.CutPrefix(next, "/2010-04-01/Accounts/"+testAccount)
	require.True(t, ok, next)
	rest, none := list(path)
	require.Equal(t, []string{"one"}, rest)
	require.Empty(t, none)
	require.Equal(t, http.StatusCreated, b.twilio(t, url.Values{"Body": {"four"}}).status)
	rest, _ = list(path)
	require.Equal(t, []string{"one"}, rest, "what came meanwhile does not move the pages")
	lost, _ := list(to + "&PageSize=2&Page=1&PageToken=PASM0")
	require.Empty(t, lost)
	require.Contains(t, b.do(t, b.twilioRequest(t, http.MethodGet, to+"&DateSent=soon", "")).body, `"code":20001`)
	require.Equal(t, "delivered", b.sim.Texts("+14155550199")[0].Status)
}

func TestLeanListsNothingRatherThanLie(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Lean = true })
	require.Equal(t, http.StatusCreated, b.twilio(t, nil).status)
	require.Equal(t, http.StatusServiceUnavailable, b.do(t, b.twilioRequest(t, http.MethodGet, "/Messages.json", "")).status)
	require.Empty(t, b.sim.Texts("+14155550100"))
	require.Equal(t, map[string]int{"+14155550100": 1}, b.sim.AcceptedBy(Twilio))
}

func TestRefuseTurnsTextsDownAtOnceOrLater(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.Refuse(Twilio, "*", "20003")
	require.Equal(t, http.StatusUnauthorized, b.twilio(t, nil).status)
	b.sim.Refuse(Twilio, "*", "21612")
	require.Contains(t, b.twilio(t, nil).body, `"code":21612`)
	b.sim.Refuse(Twilio, "*", "30007")
	require.Equal(t, http.StatusCreated, b.twilio(t, nil).status)
	require.Equal(t, 30007, b.sim.Texts("+14155550100")[0].ErrorCode)
	require.Contains(t, b.do(t, b.twilioRequest(t, http.MethodGet, "/Messages.json", "")).body, `"error_code":30007`)
}

func TestSegmentsAreCountedAsTwilioDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		body string
		want int
	}{
		{strings.Repeat("a", 160), 1}, {strings.Repeat("a", 161), 2}, {strings.Repeat("a", 306), 2},
		{strings.Repeat("a", 307), 3}, {strings.Repeat("€", 80), 1}, {strings.Repeat("€", 81), 2},
		{strings.Repeat("ç", 70), 1}, {strings.Repeat("ç", 71), 2}, {strings.Repeat("ç", 135), 3},
		{strings.Repeat("🎉", 35), 1}, {strings.Repeat("🎉", 36), 2}, {strings.Repeat("Ç", 160), 1},
	} {
		require.Equal(t, c.want, segments(c.body), "%.3s × %d", c.body, len([]rune(c.body)))
	}
}
