package sendgrid

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"beckon/internal/channel"
	"beckon/internal/channel/wire"
)

// What becomes of messages that got no answer.
var (
	held      = channel.Result{Outcome: channel.TryLater, Detail: "not sent: sending was stopped"}
	cancelled = channel.Result{Outcome: channel.TryLater, Detail: "not sent: stopped before the call"}
	unreached = channel.Result{Outcome: channel.TryLater, Detail: "not sent: no connection to SendGrid", Unreached: true}
	cutOff    = channel.Result{Outcome: channel.TryLater, Detail: "not sent: SendGrid refuses somebody of the request, but the answer was cut off"}
	lost      = channel.Result{Outcome: channel.Unknown, Detail: "sent, but the answer was lost"}
)

// stay keeps the key from following a redirect.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// answer is what SendGrid said to a request; status 0 when it said nothing.
type answer struct {
	status  int
	header  http.Header
	body    string
	written bool // the request may have left
	cut     bool // a refusal whose body is lost, and with it whom it blames
	ended   bool // there is no answer because the caller's context ended
}

// post makes one request. The answer's status counts even when its body is cut.
func (c *Client) post(caller context.Context, body []byte) answer {
	ctx, cancel := context.WithTimeout(caller, c.timeout)
	defer cancel()
	var written atomic.Bool
	ctx = wire.Watch(ctx, &written)
	request := c.request
	request.Body = body
	res, err := c.http.SendWithContext(ctx, request)
	if res == nil {
		return answer{written: written.Load(), ended: caller.Err() != nil}
	}
	if err != nil && res.StatusCode == http.StatusBadRequest {
		return answer{cut: true}
	}
	return answer{status: res.StatusCode, header: res.Headers, body: res.Body, written: written.Load()}
}

// result is what the answer means for each message of the request.
func (a answer) result() channel.Result {
	switch {
	case a.cut:
		return cutOff
	case a.status == 0 && a.written:
		return lost
	case a.status == 0 && a.ended:
		return cancelled
	case a.status == 0:
		return unreached
	case a.status == http.StatusAccepted:
		return channel.Result{Outcome: channel.Accepted, ProviderID: a.header.Get("X-Message-Id"), Load: load(a.header)}
	}
	r := channel.Result{Code: strconv.Itoa(a.status), Load: load(a.header)}
	r.Outcome, r.Detail = a.refusal()
	if r.Outcome == channel.TryLater { // which only a 429 is
		r.Throttled, r.RetryAfter = true, retryAfter(a.header)
	}
	return r
}

// load is how much of SendGrid's allowance is used up, in percent.
func load(h http.Header) int {
	left, err := strconv.Atoi(h.Get("X-RateLimit-Remaining"))
	all, err2 := strconv.Atoi(h.Get("X-RateLimit-Limit"))
	if err != nil || err2 != nil || all <= 0 {
		return 0
	}
	return min(max(100*(all-left)/all, 0), 100)
}

// refusal judges every answer but 202. Another 2xx is not SendGrid taking mail.
func (a answer) refusal() (channel.Outcome, string) {
	switch {
	case a.status < 300:
		return channel.Unknown, "the answer is not one of SendGrid's"
	case a.status >= 500:
		return channel.Unknown, "SendGrid failed and does not say whether the mail was taken"
	case a.status == http.StatusTooManyRequests:
		return channel.TryLater, "SendGrid asks to slow down"
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		return channel.StopTheLine, "the SendGrid key or the sender is not accepted"
	case a.status < 400, a.status == http.StatusNotFound, a.status == http.StatusMethodNotAllowed:
		return channel.StopTheLine, "the SendGrid address is wrong"
	case a.status == http.StatusRequestEntityTooLarge:
		return channel.Refused, "the mail is too large"
	}
	for _, e := range a.errors() {
		if e.Field == "from" || strings.HasPrefix(e.Field, "from.") {
			return channel.StopTheLine, "the sender address is not accepted"
		}
	}
	return channel.Refused, "SendGrid refuses this mail"
}

type apiError struct {
	Field string `json:"field"`
}

func (a answer) errors() []apiError {
	var list struct {
		Errors []apiError `json:"errors"`
	}
	_ = json.Unmarshal([]byte(a.body), &list) // nothing readable names nothing
	return list.Errors
}

// named returns a result for each of the n recipients that the answer names
// as wrong, by place. Nobody else of the request is to blame.
func (a answer) named(n int) map[int]channel.Result {
	if a.status != http.StatusBadRequest {
		return nil
	}
	wrong := map[int]channel.Result{}
	for _, e := range a.errors() {
		i, field := place(e.Field)
		if i < 0 || i >= n {
			continue
		}
		r := channel.Result{Outcome: channel.Refused, Code: "400", Detail: "SendGrid refuses what is said to this recipient"}
		if strings.HasPrefix(field, "to") {
			r.Outcome, r.Detail = channel.Gone, "not an e-mail address"
		}
		wrong[i] = r
	}
	return wrong
}

// place cuts "personalizations.17.to.0.email" into 17 and "to.0.email"; -1 for
// any other field. Brackets are taken as dots.
func place(field string) (int, string) {
	field = strings.NewReplacer("[", ".", "]", "").Replace(field)
	rest, found := strings.CutPrefix(field, "personalizations.")
	number, inner, _ := strings.Cut(rest, ".")
	i, err := strconv.Atoi(number)
	if !found || err != nil {
		return -1, ""
	}
	return i, inner
}

// retryAfter reads when SendGrid's allowance starts anew.
func retryAfter(h http.Header) time.Duration {
	if at, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64); err == nil {
		return max(0, time.Until(time.Unix(at, 0)))
	}
	if s, err := strconv.Atoi(h.Get("Retry-After")); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	return 0
}
