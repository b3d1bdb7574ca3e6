package sms

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	twilio "github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"beckon/internal/channel"
	"beckon/internal/channel/wire"
)

// maxAnswer bounds what is read of an answer; Twilio's are about 1 kB, and a
// page of a list has some dozens of those.
const maxAnswer = 1 << 20

// What becomes of a call that brought no answer.
var (
	held      = channel.Result{Outcome: channel.TryLater, Detail: "not sent: sending was stopped"}
	cancelled = channel.Result{Outcome: channel.TryLater, Detail: "not sent: stopped before the call"}
	abroad    = channel.Result{Outcome: channel.TryLater, Detail: "not sent: Twilio sends nothing to this country"}
	unreached = channel.Result{Outcome: channel.TryLater, Detail: "not sent: no connection to Twilio", Unreached: true}
	lost      = channel.Result{Outcome: channel.Unknown, Detail: "sent, but the answer was lost"}
)

// stay keeps the credentials from following a redirect.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// trip carries one call through twilio-go, which knows no context, always
// calls api.twilio.com and drops status and headers of a refusal.
type trip struct {
	ctx       context.Context // the library has no other way in
	caller    context.Context // without the deadline of the call
	base      *url.URL
	transport *http.Transport
	now       time.Time

	written atomic.Bool
	status  int // 0 while there is no answer
	header  http.Header
}

// RoundTrip makes the call in the trip's context, at the trip's address, and
// notes what the library will not tell. The answer is read to its end here,
// so that the connection can be used again.
func (t *trip) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.WithContext(wire.Watch(t.ctx, &t.written))
	address := *t.base
	address.Path += req.URL.Path
	address.RawQuery = req.URL.RawQuery
	req.URL, req.Host = &address, address.Host
	res, err := t.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	t.status, t.header = res.StatusCode, res.Header
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

// judge turns what the library made of the answer into a result.
func (t *trip) judge(m *api.ApiV2010Message, err error, from string) channel.Result {
	var refusal *twilio.TwilioRestError
	switch {
	case t.status == 0 && t.written.Load():
		return lost
	case t.status == 0 && t.caller.Err() != nil:
		return cancelled
	case t.status == 0:
		return unreached
	case t.status < 300 && err == nil && m.Sid != nil && *m.Sid != "":
		return channel.Result{Outcome: channel.Accepted, ProviderID: *m.Sid}
	case t.status < 300:
		return channel.Result{Outcome: channel.Unknown, Detail: "taken, but the answer cannot be read"}
	case t.status < 500 && errors.As(err, &refusal) && refusal.Code != 0:
		return t.refused(refusal.Code, from)
	}
	return t.byStatus()
}

func (t *trip) refused(code int, from string) channel.Result {
	r := verdict(code, from, t.now)
	if r.Outcome == "" {
		r = t.byStatus()
		r.Code = strconv.Itoa(code)
	}
	if r.Outcome == channel.TryLater {
		r.RetryAfter = max(retryAfter(t.header), r.RetryAfter)
	}
	return r
}

// byStatus judges an answer whose body says nothing. Twilio states that a 429
// was not processed, and that a 5xx may have been.
func (t *trip) byStatus() channel.Result {
	r := channel.Result{Detail: "Twilio answered " + strconv.Itoa(t.status)}
	switch {
	case t.status >= 500:
		r.Outcome = channel.Unknown
	case t.status == http.StatusTooManyRequests:
		r.Outcome, r.Throttled, r.RetryAfter = channel.TryLater, true, retryAfter(t.header)
	case t.status < 400, t.status == http.StatusUnauthorized, t.status == http.StatusForbidden:
		r.Outcome = channel.StopTheLine
	default:
		r.Outcome = channel.Refused
	}
	return r
}

func retryAfter(h http.Header) time.Duration {
	if s, err := strconv.Atoi(h.Get("Retry-After")); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
