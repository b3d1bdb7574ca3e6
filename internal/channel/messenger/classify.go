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

const unsaid = "Graph failed and does not say whether the message went out"

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
	r.Outcome, r.Detail = e.judge(status, byToken)
	if r.Outcome == channel.TryLater {
		r.Throttled = e.throttles(status)
		r.RetryAfter = retryAfter(header)
		if r.Elsewhere = e.elsewhere(); r.Elsewhere {
			r.RetryAfter = humanBusy
		}
	}
	return r
}

// elsewhere reports whether another app holds the thread.
func (e *graphError) elsewhere() bool { return e.Subcode == 2018300 || e.Code == 2018300 }

// throttles tells a limit of the app or the Page, which slowing down helps,
// from a reason to leave one person alone for a while: another app in the
// conversation, or a permission of one person that is used too soon.
func (e *graphError) throttles(status int) bool {
	switch {
	case e.elsewhere(), e.Code == 4 && e.Subcode == 2018354:
		return false
	}
	return slowDown(e.Code) || status == http.StatusTooManyRequests
}

func slowDown(code int) bool {
	switch code {
	case 4, 9, 17, 32, 341, 613, 80006:
		return true
	}
	return false
}

// judge goes from what says most to what says least. Meta has no code for a
// token that is used, expired or invalid, so 10 and 100 are read as that when
// a token was sent to.
func (e *graphError) judge(status int, byToken bool) (channel.Outcome, string) {
	if outcome, words := e.bySubcode(); outcome != "" {
		return outcome, words
	}
	if byToken && (e.Code == 10 || e.Code == 100) {
		return channel.TokenDead, "the token is used, expired or invalid"
	}
	if outcome, words := e.byCode(); outcome != "" {
		return outcome, words
	}
	return e.byStatus(status)
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
	if e.elsewhere() {
		return channel.TryLater, "another app holds the conversation"
	}
	return "", ""
}

// byCode knows the codes that mean the same whatever comes with them. 1200 is
// here and 2 is not: 1200 says that sending failed, so trying again is safe,
// while 2 is a fault somewhere in Graph, before or after the message was taken.
func (e *graphError) byCode() (channel.Outcome, string) {
	switch e.Code {
	case 551:
		return channel.Gone, "the person cannot be reached"
	case 102, 190:
		return channel.StopTheLine, "the Page's access token is not valid any more"
	case 368, 2022:
		return channel.StopTheLine, "Meta limits this Page for a policy violation"
	case 1200:
		return channel.TryLater, "sending failed for a moment"
	case 1:
		return channel.Unknown, unsaid
	}
	if slowDown(e.Code) {
		return channel.TryLater, "Graph asks to slow down"
	}
	if e.Code == 100 && e.Subcode == 2018001 {
		return channel.Gone, "no such person for this Page"
	}
	if e.Code >= 200 && e.Code < 300 {
		return channel.StopTheLine, "the app lacks a permission for this Page"
	}
	return "", ""
}

// byStatus is for the codes that say nothing certain, 2 among them: with a 5xx
// nobody knows how far the message came, with a 4xx it was not taken.
func (e *graphError) byStatus(status int) (channel.Outcome, string) {
	switch {
	case status >= 500:
		return channel.Unknown, unsaid
	case e.Code == 2, e.Transient, status == http.StatusTooManyRequests:
		return channel.TryLater, "Graph is busy for a moment"
	case status == http.StatusUnauthorized:
		return channel.StopTheLine, "the Page's access token is refused"
	}
	return channel.Refused, "Graph refuses this message"
}
