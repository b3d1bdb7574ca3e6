package smtp_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"beckon/internal/channel"
	"beckon/internal/channel/channeltest"
)

func TestKeepsThePromisesOfAChannel(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, channeltest.Suite{
		Kind:  channel.Email,
		Serve: bridge,
		New: func(tb testing.TB, url string) channel.Sender {
			s := settings(strings.TrimPrefix(url, "http://"))
			s.BounceToken = bounceToken
			return newClient(tb, s)
		},
		Batch:     mails,
		Accept:    desk(0),
		AcceptBut: desk,
		Answers: []channeltest.Answer{
			{Name: "taken", Status: 250, Body: "2.0.0 Ok: queued as 4B2C1D3E", Want: channel.Accepted, ProviderID: "4B2C1D3E"},
			{Name: "taken by Exim", Status: 250, Body: "2.0.0 OK id=1rAbCd-0004xY-2Z", Want: channel.Accepted, ProviderID: "1rAbCd-0004xY-2Z"},
			{Name: "taken by Exchange", Status: 250, Body: "2.6.0 <x@y> Queued mail for delivery", Want: channel.Accepted, ProviderID: mark(1) + "@shop.example"},
			{Name: "too much", Status: 451, Body: "4.7.500 Server busy", Want: channel.TryLater, Code: "451/4.7.500", RetryAfter: time.Minute, Throttled: true},
			{Name: "going down", Status: 421, Body: "4.3.2 Shutting down", Want: channel.TryLater, Code: "421/4.3.2", RetryAfter: time.Minute, Throttled: true},
			{Name: "spam", Status: 554, Body: "5.7.1 Spam message rejected", Want: channel.Refused, Code: "554/5.7.1"},
			{Name: "nobody", Status: 550, Body: "5.1.1 <person1@example.com> no such user", Want: channel.Gone, Code: "550/5.1.1"},
			{Name: "unproved", Status: 550, Body: "5.7.26 Unauthenticated email is not accepted", Want: channel.StopTheLine, Code: "550/5.7.26"},
		},
		Receiver:        receiver(t),
		Genuine:         handedIn(t, "dsn_short.eml"),
		SignatureHeader: "X-Beckon-Signature",
		Secrets:         []string{user, password, "person1@example.com", bounceToken},
	})
}

// desk takes every message but that of one delivery.
func desk(but int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if but != 0 && strings.Contains(string(body), mark(but)) {
			w.WriteHeader(550)
			_, _ = io.WriteString(w, "5.1.1 unknown")
			return
		}
		w.WriteHeader(250)
		_, _ = io.WriteString(w, "2.0.0 Ok: queued as 1A2B3C4D")
	})
}
