package messenger_test

import (
	"fmt"
	"testing"
	"time"

	"beckon/internal/channel"
	"beckon/internal/channel/channeltest"
	"beckon/internal/channel/messenger"
)

func TestKeepsThePromisesOfAChannel(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, channeltest.Suite{
		Kind:            channel.Messenger,
		New:             func(tb testing.TB, url string) channel.Sender { return newClient(tb, url) },
		Batch:           window,
		Accept:          graph(0),
		AcceptBut:       graph,
		Answers:         append(recorded(t), codes()...),
		Secrets:         []string{appSecret, pageToken, person, "7799553311"},
		Receiver:        messenger.NewReceiver(settings("https://graph.example")),
		Genuine:         signed(fixture(t, "webhook_all.json")),
		SignatureHeader: "X-Hub-Signature-256",
	})
}

func recorded(t *testing.T) []channeltest.Answer {
	token := oneTime()
	return []channeltest.Answer{
		{Name: "sent", Status: 200, Body: fixture(t, "sent.json"), Want: channel.Accepted, ProviderID: "m_AbCdEf0123"},
		{
			Name: "sent, most of the Page's limit used", Status: 200, Body: fixture(t, "sent.json"), Want: channel.Accepted, ProviderID: "m_AbCdEf0123", Load: 93,
			Header: map[string]string{
				"X-App-Usage": `{"call_count":10,"total_cputime":81,"total_time":7}`, "X-Page-Usage": `{"call_count":2,"total_cputime":3,"total_time":93}`,
				"X-Business-Use-Case-Usage": `{"1":[{"type":"pages","call_count":50}],"2":[{"type":"messenger","call_count":85,"total_cputime":25,"total_time":5}]}`,
			},
		},
		{
			Name: "sent, usage headers unreadable", Status: 200, Body: fixture(t, "sent.json"), Want: channel.Accepted, ProviderID: "m_AbCdEf0123",
			Header: map[string]string{"X-App-Usage": "[", "X-Page-Usage": "7", "X-Business-Use-Case-Usage": `{"1":5}`},
		},
		{Name: "window closed", Status: 400, Body: fixture(t, "window_closed.json"), Want: channel.TokenDead, Code: "10/2018278"},
		{Name: "no such person", Status: 400, Body: fixture(t, "no_such_person.json"), Want: channel.Gone, Code: "100/2018001"},
		{Name: "no such person for a token", Batch: &token, Status: 400, Body: fixture(t, "no_such_person.json"), Want: channel.TokenDead, Code: "100/2018001"},
		{Name: "page token dead", Status: 401, Body: fixture(t, "page_token_dead.json"), Want: channel.StopTheLine, Code: "190/460"},
		{Name: "rate limited", Status: 400, Body: fixture(t, "rate_limited.json"), Want: channel.TryLater, Code: "613", Throttled: true},
		{
			Name: "rate limited with a time", Status: 400, Header: map[string]string{"Retry-After": "90"},
			Body: fixture(t, "rate_limited.json"), Want: channel.TryLater, Code: "613", RetryAfter: 90 * time.Second, Throttled: true,
		},
		{
			Name: "rate limited with a date", Status: 429, Header: map[string]string{"Retry-After": time.Now().Add(time.Hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")},
			Body: "", Want: channel.TryLater, RetryAfter: time.Hour, Throttled: true,
		},
		{
			Name: "usage header names the longest wait", Status: 400, Body: fixture(t, "rate_limited.json"), Want: channel.TryLater, Code: "613",
			Header: map[string]string{"X-Business-Use-Case-Usage": `{"1357924680":[{"type":"messenger","call_count":100,"estimated_time_to_regain_access":3},` +
				`{"type":"pages","estimated_time_to_regain_access":7}]}`}, RetryAfter: 7 * time.Minute, Throttled: true, Load: 100,
		},
		{Name: "usage header unreadable", Status: 429, Header: map[string]string{"X-Business-Use-Case-Usage": "["}, Want: channel.TryLater, Throttled: true},
		{Name: "error inside a 200", Status: 200, Body: fixture(t, "window_closed.json"), Want: channel.TokenDead, Code: "10/2018278"},
		{Name: "200 without an id", Status: 200, Body: `{"recipient_id":"1"}`, Want: channel.Unknown},
		{Name: "200 that is not JSON", Status: 200, Body: `<html>`, Want: channel.Unknown},
		{Name: "500 from a balancer", Status: 502, Body: `<html>`, Want: channel.Unknown},
		{Name: "403 from a firewall", Status: 403, Body: `<html>`, Want: channel.StopTheLine},
		{Name: "401 without a body", Status: 401, Want: channel.StopTheLine},
		{Name: "404 without a body", Status: 404, Want: channel.Refused},
		{Name: "304", Status: 304, Want: channel.StopTheLine},
	}
}

// codes is the table of Meta's codes and what they mean to us.
func codes() []channeltest.Answer {
	token := oneTime()
	table := []struct {
		status, code, sub int
		batch             *channel.Batch
		want              channel.Outcome
		throttled         bool
	}{
		{400, 10, 2018065, nil, channel.TokenDead, false},
		{400, 10, 2018108, nil, channel.Gone, false},
		{400, 10, 2018108, &token, channel.Gone, false},
		{400, 10, 1893015, nil, channel.TokenDead, false},
		{400, 10, 1893063, nil, channel.StopTheLine, false},
		{400, 10, 1893063, &token, channel.StopTheLine, false},
		{400, 10, 1404170, nil, channel.StopTheLine, false},
		{400, 10, 0, nil, channel.Refused, false},
		{400, 10, 0, &token, channel.TokenDead, false},
		{400, 100, 0, nil, channel.Refused, false},
		{400, 100, 0, &token, channel.TokenDead, false},
		{403, 200, 0, nil, channel.StopTheLine, false},
		{403, 200, 2018028, nil, channel.StopTheLine, false},
		{403, 200, 2018027, nil, channel.StopTheLine, false},
		{400, 10, 1545041, nil, channel.Refused, false}, // the subcode alone says nothing
		{400, 200, 1545041, nil, channel.Gone, false},
		{400, 551, 0, nil, channel.Gone, false},
		{400, 551, 1545041, &token, channel.Gone, false},
		{400, 190, 0, &token, channel.StopTheLine, false},
		{400, 190, 493, nil, channel.StopTheLine, false},
		{400, 102, 0, nil, channel.StopTheLine, false},
		{400, 299, 0, nil, channel.StopTheLine, false},
		{400, 368, 0, nil, channel.StopTheLine, false},
		{400, 2022, 0, nil, channel.StopTheLine, false},
		{400, 613, 2018338, nil, channel.StopTheLine, false},
		{400, 613, 2534040, nil, channel.TryLater, true},
		{400, 613, 1893016, nil, channel.Refused, false},
		{400, 4, 2018354, &token, channel.TryLater, false},
		{400, 9, 2018352, nil, channel.TryLater, true},
		{400, 17, 0, nil, channel.TryLater, true},
		{403, 32, 0, nil, channel.TryLater, true},
		{400, 341, 0, nil, channel.TryLater, true},
		{400, 80006, 0, nil, channel.TryLater, true},
		{500, 4, 0, nil, channel.TryLater, true},
		{403, 4, 0, &token, channel.TryLater, true},
		{500, 1200, 0, nil, channel.TryLater, false},
		{400, 2, 0, nil, channel.TryLater, false},
		{503, 2, 0, nil, channel.Unknown, false},
		{400, 1, 0, nil, channel.Unknown, false},
		{500, 1, 1357046, nil, channel.Unknown, false},
		{400, 1, 1357046, &token, channel.Unknown, false},
		{500, 4711, 0, nil, channel.Unknown, false},
		{429, 4711, 0, nil, channel.TryLater, true},
		{401, 4711, 0, nil, channel.StopTheLine, false},
		{400, 4711, 0, nil, channel.Refused, false},
	}
	var answers []channeltest.Answer
	for i, c := range table {
		code := fmt.Sprint(c.code)
		if c.sub != 0 {
			code += fmt.Sprintf("/%d", c.sub)
		}
		answers = append(answers, channeltest.Answer{
			Name: fmt.Sprintf("%d code %s with status %d", i, code, c.status), Batch: c.batch, Status: c.status, Want: c.want, Code: code, Throttled: c.throttled,
			Body: fmt.Sprintf(`{"error":{"message":"about %s","code":%d,"error_subcode":%d}}`, person, c.code, c.sub),
		})
	}
	return append(answers,
		channeltest.Answer{
			Name: "human in the thread", Status: 400, Body: `{"error":{"code":10,"error_subcode":2018300}}`,
			Want: channel.TryLater, Code: "10/2018300", RetryAfter: 10 * time.Minute,
		},
		channeltest.Answer{Name: "transient", Status: 400, Body: `{"error":{"code":4711,"is_transient":true}}`, Want: channel.TryLater, Code: "4711"},
	)
}
