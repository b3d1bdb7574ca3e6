package messenger

import (
	"net/http"
	"strconv"
	"time"

	"beckon/internal/channel"
)

// humanBusy is how long a thread is left alone that another app holds, which
// mostly means that a person is talking in it.
const humanBusy = 10 * time.Minute

// graphError is the part of Graph's error object that programs may rely on.
// Its texts are not read: they may quote ids.
type graphError struct {
	Code      int  `json:"code"`
	Subcode   int  `json:"error_subcode"`
	Transient bool `json:"is_transient"`
}

func (e *graphError) result(status int, header http.Header, byToken bool) channel.Result {
	r := channel.Result{Code: strconv.Itoa(e.Code)}
	if e.Subcode != 0 {
		r.Code += "/" + strconv.Itoa(e.Subcode)
	}
	r.Outcome, r.Detail = e.bySubcode()
	if r.Outcome == "" {
		r.Outcome, r.Detail = e.byCode(status, byToken)
	}
	if r.Outcome == channel.TryLater {
		r.RetryAfter = retryAfter(header)
		if e.Subcode == 2018300 {
			r.RetryAfter = humanBusy
		}
	}
	return r
}

// bySubcode knows the pairs that say more than their code; "" for the others.
func (e *graphError) bySubcode() (channel.Outcome, string) {
	type pair struct{ code, sub int }
	switch (pair{e.Code, e.Subcode}) {
	case pair{10, 2018278}, pair{10, 2018065}:
		return channel.TokenDead, "outside the 24-hour window"
	case pair{10, 1893015}:
		return channel.TokenDead, "the person stopped these messages"
	case pair{10, 2018108}, pair{200, 1545041}:
		return channel.Gone, "the person cannot be reached"
	case pair{10, 1893063}:
		return channel.StopTheLine, "the Page is restricted from sending"
	case pair{10, 1404170}:
		return channel.StopTheLine, "the Page is restricted from asking for permission"
	case pair{613, 2018338}:
		return channel.StopTheLine, "Meta warns the Page of abuse"
	case pair{613, 1893016}:
		return channel.Refused, "the person was asked for this topic already"
	}
	if e.Subcode == 2018300 || e.Code == 2018300 {
		return channel.TryLater, "another app holds the conversation"
	}
	return "", ""
}

// byCode judges by the code alone. Two of Meta's "try again" codes differ:
// 1200 says that sending failed, so trying again is safe. Code 2 is a fault
// somewhere in Graph: with a 5xx status nobody knows how far the message came.
func (e *graphError) byCode(status int, byToken bool) (channel.Outcome, string) {
	switch {
	case byToken && (e.Code == 10 || e.Code == 100):
		return channel.TokenDead, "the token is used, expired or invalid"
	case e.Code == 100 && e.Subcode == 2018001:
		return channel.Gone, "no such person for this Page"
	case e.Code == 551:
		return channel.Gone, "the person cannot be reached"
	case e.Code == 190 || e.Code == 102:
		return channel.StopTheLine, "the Page's access token is not valid any more"
	case e.Code >= 200 && e.Code < 300:
		return channel.StopTheLine, "the app lacks a permission for this Page"
	case e.Code == 368 || e.Code == 2022:
		return channel.StopTheLine, "Meta limits this Page for a policy violation"
	case e.throttled():
		return channel.TryLater, "Graph asks to slow down"
	case e.Code == 1200:
		return channel.TryLater, "sending failed for a moment"
	case e.Code == 1 || status >= 500:
		return channel.Unknown, "Graph failed and does not say whether the message went out"
	case e.Code == 2 || e.Transient || status == http.StatusTooManyRequests:
		return channel.TryLater, "Graph is busy for a moment"
	case status == http.StatusUnauthorized:
		return channel.StopTheLine, "the Page's access token is refused"
	}
	return channel.Refused, "Graph refuses this message"
}

func (e *graphError) throttled() bool {
	switch e.Code {
	case 4, 9, 17, 32, 341, 613, 80006:
		return true
	}
	return false
}
