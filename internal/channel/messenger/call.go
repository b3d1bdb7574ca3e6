package messenger

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"beckon/internal/channel"
	"beckon/internal/channel/wire"
)

// maxAnswer bounds what is read of an answer; Graph's are below 1 kB.
const maxAnswer = 1 << 16

// What becomes of a call that brought no answer.
var (
	held      = channel.Result{Outcome: channel.TryLater, Detail: "not sent: sending was stopped"}
	cancelled = channel.Result{Outcome: channel.TryLater, Detail: "not sent: stopped before the call"}
	unreached = channel.Result{Outcome: channel.TryLater, Detail: "not sent: no connection to Graph", Unreached: true}
	lost      = channel.Result{Outcome: channel.Unknown, Detail: "sent, but the answer was lost"}
)

// post makes one call and says what came of it. The transport is used without
// a client around it, so no redirect can carry the token elsewhere.
func (c *Client) post(caller context.Context, d door, body []byte, byToken bool) channel.Result {
	if caller.Err() != nil {
		return cancelled
	}
	ctx, cancel := context.WithTimeout(caller, c.timeout)
	defer cancel()
	var written atomic.Bool
	req, err := http.NewRequestWithContext(wire.Watch(ctx, &written), http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil || strings.ContainsAny(d.authorization, "\x00\r\n") {
		return channel.Result{Outcome: channel.StopTheLine, Detail: "the Page's id or access token has characters that cannot be sent"}
	}
	req.Header = http.Header{"Authorization": {d.authorization}, "Content-Type": {"application/json"}, "User-Agent": {"beckon"}}
	res, err := c.transport.RoundTrip(req)
	if err != nil {
		return withoutAnswer(caller, written.Load())
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	r := judge(res.StatusCode, res.Header, answer, err, byToken)
	r.Load = load(res.Header)
	return r
}

func withoutAnswer(caller context.Context, written bool) channel.Result {
	switch {
	case written:
		return lost
	case caller.Err() != nil:
		return cancelled
	}
	return unreached
}

// judge turns an answer into a result.
func judge(status int, header http.Header, body []byte, readErr error, byToken bool) channel.Result {
	var a struct {
		MessageID string      `json:"message_id"`
		Error     *graphError `json:"error"`
	}
	unreadable := readErr != nil || json.Unmarshal(body, &a) != nil
	switch {
	case !unreadable && a.Error != nil:
		return a.Error.result(status, header, byToken)
	case status >= 200 && status < 300 && !unreadable && a.MessageID != "":
		return channel.Result{Outcome: channel.Accepted, ProviderID: a.MessageID}
	}
	return byStatus(status, header)
}

// byStatus judges an answer whose body says nothing.
func byStatus(status int, header http.Header) channel.Result {
	r := channel.Result{Detail: "Graph answered " + strconv.Itoa(status) + " with nothing readable"}
	switch {
	case status < 300 || status >= 500:
		r.Outcome = channel.Unknown
	case status == http.StatusTooManyRequests:
		r.Outcome, r.Throttled, r.RetryAfter = channel.TryLater, true, retryAfter(header)
	case status < 400, status == http.StatusUnauthorized, status == http.StatusForbidden:
		r.Outcome = channel.StopTheLine
	default:
		r.Outcome = channel.Refused
	}
	return r
}
