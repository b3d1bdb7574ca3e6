package sms_test

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"beckon/internal/channel"
	"beckon/internal/channel/channeltest"
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

// codes is Twilio's table in short: some of each class, all that have a wait.
func codes() []channeltest.Answer {
	table := map[channel.Outcome][]int{
		channel.OptedOut: {21610, 30640, 63014, 63033},
		channel.Gone:     {21211, 21214, 21217, 21614, 21635, 30005, 30006},
		channel.TryLater: {14107, 20429, 21611, 30001, 30017, 30022, 30023, 30027, 30036, 30410, 30450, 30500, 30610, 60728, 63017, 63018, 63038},
		channel.StopTheLine: {
			20003, 20404, 21212, 21603, 21606, 21608, 21659, 21660, 21661, 21701, 21703, 21705,
			30002, 30018, 30024, 30032, 30033, 30034, 30035,
		},
		channel.Refused: {14103, 21408, 21602, 21612, 21617, 21658, 30003, 30004, 30007, 30008, 90007, 30045, 99999},
	}
	waits := map[int]time.Duration{
		21611: 10 * time.Minute, 30001: 10 * time.Minute, 30450: 30 * time.Minute,
		30023: time.Hour, 30027: time.Hour, 30610: time.Hour, 60728: time.Hour, 63038: time.Hour,
	}
	slow := []int{20429, 21611, 30001, 30022, 30023, 30027, 60728, 63017, 63018, 63038}
	var answers []channeltest.Answer
	for outcome, codes := range table {
		for _, code := range codes {
			answers = append(answers, channeltest.Answer{
				Name: fmt.Sprintf("code %d", code), Status: 400, Want: outcome, Code: fmt.Sprint(code), RetryAfter: waits[code], Throttled: slices.Contains(slow, code),
				Body: fmt.Sprintf(`{"code":%d,"message":"about %s","status":400}`, code, phone),
			})
		}
	}
	return answers
}
