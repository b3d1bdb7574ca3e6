package sendgrid_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"beckon/internal/channel"
	"beckon/internal/channel/channeltest"
)

func TestKeepsThePromisesOfAChannel(t *testing.T) {
	t.Parallel()
	webhook := newSigner(t)
	channeltest.Run(t, channeltest.Suite{
		Kind:            channel.Email,
		New:             func(tb testing.TB, url string) channel.Sender { return newClient(tb, url) },
		Batch:           mails,
		Accept:          &desk{},
		AcceptBut:       func(delivery int64) http.Handler { return &desk{refuse: names(delivery)} },
		Answers:         recorded(t),
		Secrets:         []string{apiKey, "person1@example.com"},
		Receiver:        webhook.receiver(t),
		Genuine:         webhook.callback(t, fixture(t, "events.json")),
		SignatureHeader: signature,
	})
}

func recorded(t *testing.T) []channeltest.Answer {
	soon := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	many := mails(5)
	return []channeltest.Answer{
		{Name: "taken", Batch: &many, Status: 202, Header: map[string]string{"X-Message-Id": "14c5d75ce93"}, Want: channel.Accepted, ProviderID: "14c5d75ce93"},
		{
			Name: "taken, most of the allowance used", Status: 202, Want: channel.Accepted, ProviderID: "m2", Load: 90,
			Header: map[string]string{"X-Message-Id": "m2", "X-RateLimit-Limit": "600", "X-RateLimit-Remaining": "60"},
		},
		{Name: "taken, with an allowance of nothing", Status: 202, Header: map[string]string{"X-Message-Id": "m3", "X-RateLimit-Limit": "0", "X-RateLimit-Remaining": "0"}, Want: channel.Accepted, ProviderID: "m3"},
		{Name: "bad key", Batch: &many, Status: 401, Body: fixture(t, "bad_key.json"), Want: channel.StopTheLine, Code: "401"},
		{Name: "no permission", Status: 403, Body: fixture(t, "unverified_sender.json"), Want: channel.StopTheLine, Code: "403"},
		{Name: "sender refused", Status: 400, Body: fixture(t, "unverified_sender.json"), Want: channel.StopTheLine, Code: "400"},
		{Name: "content refused", Batch: &many, Status: 400, Body: fixture(t, "bad_content.json"), Want: channel.Refused, Code: "400"},
		{Name: "recipient out of range", Status: 400, Body: fixture(t, "wrong_recipients.json"), Want: channel.Refused, Code: "400"},
		{Name: "refused in HTML", Status: 400, Body: fixture(t, "too_large.html"), Want: channel.Refused, Code: "400"},
		{Name: "refusal cut off", Status: 400, Header: map[string]string{"Content-Length": "5000"}, Body: fixture(t, "wrong_recipients.json"), Want: channel.TryLater},
		{Name: "taken, answer cut off", Status: 202, Header: map[string]string{"Content-Length": "9", "X-Message-Id": "m1"}, Body: "x", Want: channel.Accepted, ProviderID: "m1"},
		{Name: "too large", Batch: &many, Status: 413, Body: fixture(t, "too_large.html"), Want: channel.Refused, Code: "413"},
		{
			Name: "too many, with the time", Batch: &many, Status: 429, Header: map[string]string{"X-RateLimit-Reset": soon}, Body: fixture(t, "too_many.json"),
			Want: channel.TryLater, Code: "429", RetryAfter: time.Hour, Throttled: true,
		},
		{
			Name: "too many, with a wait", Status: 429, Header: map[string]string{"Retry-After": "40"},
			Want: channel.TryLater, Code: "429", RetryAfter: 40 * time.Second, Throttled: true,
		},
		{Name: "too many, the time has passed", Status: 429, Header: map[string]string{"X-RateLimit-Reset": "5"}, Want: channel.TryLater, Code: "429", Throttled: true},
		{
			Name: "too many", Status: 429, Header: map[string]string{"X-RateLimit-Limit": "600", "X-RateLimit-Remaining": "0"},
			Want: channel.TryLater, Code: "429", Throttled: true, Load: 100,
		},
		{Name: "broken", Batch: &many, Status: 500, Body: `{"errors":[{"message":"oops","field":"personalizations.0.to"}]}`, Want: channel.Unknown, Code: "500"},
		{Name: "bad gateway", Status: 502, Body: fixture(t, "too_large.html"), Want: channel.Unknown, Code: "502"},
		{Name: "a page that is not SendGrid", Status: 200, Body: fixture(t, "too_large.html"), Want: channel.Unknown, Code: "200"},
		{Name: "wrong address", Status: 404, Want: channel.StopTheLine, Code: "404"},
		{Name: "wrong method", Status: 405, Want: channel.StopTheLine, Code: "405"},
		{Name: "anything else", Status: 418, Want: channel.Refused, Code: "418"},
	}
}
