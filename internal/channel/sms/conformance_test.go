package sms_test

import (
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/channeltest"
	"beckon/internal/channel/sms"
)

func TestKeepsThePromisesOfAChannel(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, channeltest.Suite{
		Kind:      channel.SMS,
		New:       func(tb testing.TB, url string) channel.Sender { return newClient(tb, url) },
		Batch:     texts,
		Accept:    provider(0),
		AcceptBut: provider,
		Answers:   append(recorded(t), codes()...),
		Secrets:   []string{authToken, phone},
		Receiver:  newReceiver(t),
		// No key may change its bytes without changing its meaning, as "+" to
		// "%20" would: the signature is over what the form says.
		Genuine: callback("/webhooks/twilio/status/77", url.Values{
			"MessageSid": {"SM77"}, "MessageStatus": {"delivered"}, "From": {"Beckon"}, "AccountSid": {account},
		}),
		SignatureHeader: "X-Twilio-Signature",
	})
}

func recorded(t *testing.T) []channeltest.Answer {
	return []channeltest.Answer{
		{Name: "created", Status: 201, Body: fixture(t, "created.json"), Want: channel.Accepted, ProviderID: "SM00112233445566778899aabbccddeeff"},
		{Name: "opted out", Status: 400, Body: fixture(t, "opted_out.json"), Want: channel.OptedOut, Code: "21610"},
		{Name: "bad credentials", Status: 401, Body: fixture(t, "bad_credentials.json"), Want: channel.StopTheLine, Code: "20003"},
		{
			Name: "too many", Status: 429, Header: map[string]string{"Retry-After": "7"}, Body: fixture(t, "too_many.json"),
			Want: channel.TryLater, Code: "20429", RetryAfter: 7 * time.Second, Throttled: true,
		},
		{
			Name: "too many, until a date", Status: 429, Header: map[string]string{"Retry-After": time.Now().Add(time.Hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")},
			Want: channel.TryLater, RetryAfter: time.Hour, Throttled: true,
		},
		{Name: "too many in HTML", Status: 429, Body: fixture(t, "broken.html"), Want: channel.TryLater, Throttled: true},
		{Name: "broken in HTML", Status: 503, Body: fixture(t, "broken.html"), Want: channel.Unknown},
		{Name: "broken in JSON", Status: 500, Body: `{"code":20500,"message":"Internal Server Error","status":500}`, Want: channel.Unknown},
		{Name: "created, unreadable", Status: 201, Body: `{"sid":"SM1"`, Want: channel.Unknown},
		{Name: "created, HTML", Status: 200, Body: fixture(t, "broken.html"), Want: channel.Unknown},
		{Name: "created without an id", Status: 201, Body: `{}`, Want: channel.Unknown},
		{Name: "forbidden by a firewall", Status: 403, Body: fixture(t, "broken.html"), Want: channel.StopTheLine},
		{Name: "404 in HTML", Status: 404, Body: fixture(t, "broken.html"), Want: channel.Refused},
		{Name: "answer longer than what it says", Status: 201, Header: map[string]string{"Content-Length": "500"}, Body: `{"sid":"SM1"}`, Want: channel.Unknown},
		{Name: "unknown code with 401", Status: 401, Body: `{"code":20999,"status":401}`, Want: channel.StopTheLine, Code: "20999"},
		{Name: "unknown code with 429", Status: 429, Body: `{"code":20998,"status":429}`, Want: channel.TryLater, Code: "20998", Throttled: true},
	}
}

// row is one of Twilio's codes with what it means for the text it is about.
type row struct {
	code int
	want channel.Result // without words
}

// table is every code of Twilio's that asks for something of its own, and some
// that nobody knows.
func table() []row {
	var out []row
	add := func(want channel.Result, codes ...int) {
		for _, code := range codes {
			want.Code = strconv.Itoa(code)
			out = append(out, row{code, want})
		}
	}
	later := func(wait time.Duration, throttled bool, tries int) channel.Result {
		return channel.Result{Outcome: channel.TryLater, RetryAfter: wait, Throttled: throttled, Tries: tries}
	}
	add(channel.Result{Outcome: channel.OptedOut}, 21610, 30640, 63014, 63033)
	add(channel.Result{Outcome: channel.Gone}, 21211, 21214, 21217, 21614, 21635, 30005, 30006)
	add(later(0, true, 0), 20429)
	add(later(time.Minute, true, 3), 30022, 63017, 63018)
	add(later(10*time.Minute, true, 3), 21611, 30001)
	add(later(time.Hour, true, 0), 60728, 63038)
	add(later(19*time.Hour+30*time.Minute, false, 0), 30023, 30027) // see aMoment
	add(later(time.Minute, false, 3), 14107, 30017, 30410, 30500)
	add(later(30*time.Minute, false, 3), 30450)
	add(later(time.Hour, false, 0), 30610)
	add(later(0, false, 3), 30036)
	add(later(5*time.Minute, false, 2), 30008)
	add(channel.Result{Outcome: channel.StopTheLine}, 20003, 20404, 21212, 21222, 21224, 21603, 21606, 21608, 21659, 21660, 21661, 21701, 21703, 21705,
		30002, 30018, 30024, 30032, 30033, 30034, 30035)
	add(channel.Result{Outcome: channel.Refused, Countrywide: true}, 21408)
	add(channel.Result{Outcome: channel.Refused, Filtered: true}, 30007)
	add(channel.Result{Outcome: channel.Refused, Soft: true}, 30003, 30004)
	add(channel.Result{Outcome: channel.Refused}, 14103, 21602, 21604, 21609, 21612, 21617, 21658, 30025, 30026, 30045, 90007, 12345, 99999)
	return out
}

// codes is the table as answers to a call.
func codes() []channeltest.Answer {
	var answers []channeltest.Answer
	for _, r := range table() {
		answers = append(answers, channeltest.Answer{
			Name: "code " + r.want.Code, Status: 400, Want: r.want.Outcome, Code: r.want.Code, RetryAfter: r.want.RetryAfter, Throttled: r.want.Throttled,
			Body: fmt.Sprintf(`{"code":%d,"message":"about %s","status":400}`, r.code, phone),
		})
	}
	return answers
}

// A callback and a look-up say the same as an answer would.
func TestEveryCodeMeansTheSameHoweverItComes(t *testing.T) {
	t.Parallel()
	for _, r := range table() {
		form := url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"undelivered"}, "ErrorCode": {r.want.Code}, "From": {"+15005550006"}, "To": {phone}}
		events, err := newReceiver(t).Events(callback("/webhooks/twilio/status/41", form))
		require.NoError(t, err)
		got := events[0].Failure()
		want := r.want
		want.Detail, want.ProviderID = "told by callback", "SM1"
		require.Equal(t, want, got)
		require.Equal(t, phone, events[0].Address)

		at, _ := lists(t, one(t, map[string]any{"status": "undelivered", "error_code": r.code, "sid": "SM1"}))
		found := newClient(t, at).Find(t.Context(), []channel.Sought{sought()})[0]
		want.Detail = "found in Twilio's list"
		require.Equal(t, channel.Finding{Found: channel.Failed, ProviderID: "SM1", Why: want}, found)
	}
}

func TestTheCarriersDayEndsAtMidnightOnThePacificCoast(t *testing.T) {
	t.Parallel()
	for now, want := range map[string]time.Duration{
		"2026-11-22T07:59:59Z":        time.Second,
		"2026-11-22T07:59:58.000001Z": 2 * time.Second,
		"2026-11-22T08:00:00Z":        24 * time.Hour,
		"2026-07-01T06:59:00Z":        time.Minute,
		"2026-07-01T12:00:00Z":        19 * time.Hour,
		"2026-03-08T08:00:00Z":        23 * time.Hour, // the clocks go forward
		"2026-11-01T07:00:00Z":        25 * time.Hour, // and back
		"2026-12-31T20:00:00Z":        12 * time.Hour,
	} {
		at, err := time.Parse(time.RFC3339, now)
		require.NoError(t, err)
		r, err := sms.NewReceiver(sms.Settings{AuthToken: authToken, Now: func() time.Time { return at }})
		require.NoError(t, err)
		events, err := r.Events(callback("/webhooks/twilio/status/41", url.Values{"MessageStatus": {"failed"}, "ErrorCode": {"30023"}}))
		require.NoError(t, err)
		require.Equal(t, want, events[0].RetryAfter, now)
	}
}
