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

// post makes one call of the Send API and says what came of it.
func (c *Client) post(caller context.Context, d door, body []byte, byToken bool) channel.Result {
	a, none := c.exchange(caller, http.MethodPost, d, body)
	if none != nil {
		return *none
	}
	r := judge(a.status, a.header, a.body, a.err, byToken)
	r.Load = load(a.header)
	return r
}

// answer is what Graph answered, whatever it says.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // the body could not be read to its end
}

// exchange makes one call. Without an answer it says what became of it. The
// transport is used without a client around it, so no redirect can carry the
// token elsewhere.
func (c *Client) exchange(caller context.Context, method string, d door, body []byte) (answer, *channel.Result) {
	if caller.Err() != nil {
		r := cancelled
		return answer{}, &r
	}
	ctx, cancel := context.WithTimeout(caller, c.timeout)
	defer cancel()
	var written atomic.Bool
	req, err := http.NewRequestWithContext(wire.Watch(ctx, &written), method, d.url, bytes.NewReader(body))
	if err != nil || strings.ContainsAny(d.authorization, "\x00\r\n") {
		return answer{}, &channel.Result{Outcome: channel.StopTheLine, Detail: "the Page's id or access token has characters that cannot be sent"}
	}
	req.Header = http.Header{"Authorization": {d.authorization}, "Content-Type": {"application/json"}, "User-Agent": {"beckon"}}
	res, err := c.transport.RoundTrip(req)
	if err != nil {
		r := withoutAnswer(caller, written.Load())
		return answer{}, &r
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	a.body, a.err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return a, nil
}

// ask makes a call that is not a message, on the Page's edge of that name, and
// reads the answer into out, which may be nil. Accepted means that Graph did it.
func (c *Client) ask(ctx context.Context, method string, d door, in []byte, out any) channel.Result {
	a, none := c.exchange(ctx, method, d, in)
	if none != nil {
		return *none
	}
	var r channel.Result
	var said struct {
		Error *graphError `json:"error"`
	}
	readable := a.err == nil && json.Unmarshal(a.body, &said) == nil
	switch {
	case readable && said.Error != nil:
		r = said.Error.result(a.status, a.header, false)
	case readable && a.status >= 200 && a.status < 300 && (out == nil || json.Unmarshal(a.body, out) == nil):
		r = channel.Result{Outcome: channel.Accepted}
	default:
		r = byStatus(a.status, a.header)
	}
	r.Load = load(a.header)
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
