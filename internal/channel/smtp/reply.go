package smtp

import (
	"errors"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
	"time"

	"beckon/internal/channel"
)

// stage is what a server answers to.
type stage int

const (
	greeting  stage = iota // the connection itself, with its encryption
	login                  // AUTH
	sender                 // MAIL
	recipient              // RCPT
	content                // DATA, and its end
	report                 // nothing here: a bounce tells of it
)

// reply is what a server said: a reply code, and the enhanced status code
// (RFC 3463) where there is one.
type reply struct {
	code            int // 0 when only the status is known
	class           int // of the status: 2, 4 or 5; 0 without one
	subject, detail int
	text            string // in lower case, only looked at
}

// statusCode is an enhanced status code anywhere in a text, and not an address on
// the Internet.
var statusCode = regexp.MustCompile(`(?:^|[^0-9.])([245])\.([0-7])\.(\d{1,3})(?:$|[^0-9.]|\.(?:$|[^0-9]))`)

// replyOf reads a reply, and is false when err is none.
func replyOf(err error) (reply, bool) {
	var e *textproto.Error
	if !errors.As(err, &e) {
		return reply{}, false
	}
	return newReply(e.Code, e.Msg), true
}

func newReply(code int, text string) reply {
	r := reply{code: code, text: strings.ToLower(text)}
	if m := statusCode.FindStringSubmatch(text); m != nil && (code == 0 || m[1] == strconv.Itoa(code/100)) {
		r.class, _ = strconv.Atoi(m[1])
		r.subject, _ = strconv.Atoi(m[2])
		r.detail, _ = strconv.Atoi(m[3])
	}
	if r.subject == 0 || r.subject == 5 && r.detail == 0 { // says nothing that the reply code does not
		r.class = 0
	}
	return r
}

// name is the codes as they are shown: 550/5.1.1.
func (r reply) name() string {
	var parts []string
	if r.code != 0 {
		parts = append(parts, strconv.Itoa(r.code))
	}
	if r.class != 0 {
		parts = append(parts, strconv.Itoa(r.class)+"."+strconv.Itoa(r.subject)+"."+strconv.Itoa(r.detail))
	}
	return strings.Join(parts, "/")
}

// passing reports whether another try may go better.
func (r reply) passing() bool { return r.code/100 == 4 || r.code == 0 && r.class == 4 }

// is reports whether the status is of a subject, and one of some details where
// those are given.
func (r reply) is(subject int, details ...int) bool {
	if r.class == 0 || r.subject != subject {
		return false
	}
	for _, d := range details {
		if r.detail == d {
			return true
		}
	}
	return len(details) == 0
}

func (r reply) says(words ...string) bool {
	for _, w := range words {
		if strings.Contains(r.text, w) {
			return true
		}
	}
	return false
}

// result is what a refusal means for the message.
func (r reply) result(at stage) channel.Result {
	out := r.judge(at)
	out.Code = r.name()
	return out
}

func (r reply) judge(at stage) channel.Result {
	switch {
	case r.unproved():
		return stopped("the mailbox providers refuse the sender: its SPF, DKIM, DMARC or reverse DNS does not pass")
	case r.passing():
		return r.later(at)
	case r.locked(at):
		return stopped("the SMTP server does not accept the account, or wants a login")
	case r.tooLarge():
		return refused("the mail is too large")
	case at == sender:
		return stopped("the SMTP server does not accept the sender's address")
	case at == content && r.class == 0 && r.says("address is not verified"): // Amazon SES
		return stopped("the SMTP server does not accept the sender's address")
	case at == recipient && r.closed():
		return stopped("the SMTP server does not pass mail on for this account")
	}
	return r.never(at)
}

// unproved: Gmail, Yahoo and Outlook say with these that the sender's domain is
// not proved, which holds for all its mail (RFC 7372; Gmail's 5.7.27 to 5.7.32;
// Outlook's 5.7.509 and 5.7.515).
func (r reply) unproved() bool {
	if r.passing() && r.is(7, 24) { // a look-up that failed
		return false
	}
	return r.is(7, 20, 21, 22, 23, 24, 25, 26, 27, 29, 30, 31, 32, 509, 515)
}

func (r reply) locked(at stage) bool {
	return at <= login || r.code == 530 || r.code == 534 || r.code == 535 || r.code == 538 ||
		at != report && r.is(7, 3, 8, 9, 11, 13, 14, 57, 60)
}

// closed: the server passes on nobody's mail to others, or not ours.
func (r reply) closed() bool {
	return (r.class == 0 || r.is(7)) && r.says("relay access denied", "relaying denied", "relay denied", "relay not permitted", "not permitted to relay",
		"unable to relay", "relaying not", "does not relay", "relaying is")
}

func (r reply) tooLarge() bool {
	return r.is(3, 4) || r.is(2, 3) || r.code == 552 && r.class == 0 && !r.full()
}

// full: the mailbox has no room, which may pass.
func (r reply) full() bool {
	return r.is(2, 2) || r.class == 0 && r.says("quota", "mailbox full", "mailbox is full", "over limit")
}

// busy: the person gets too much at the moment, from whomever.
func (r reply) busy() bool {
	return r.is(2, 1) && r.says("at a rate", "too quickly", "rate limit")
}

// How long to leave a server, or a recipient, alone.
const (
	soon  = time.Minute
	later = 5 * time.Minute
	long  = 15 * time.Minute
)

// later judges what a server does not take now. What depends on the recipient's
// address or mailbox would be tried for ever: it counts as a miss instead.
func (r reply) later(at stage) channel.Result {
	switch {
	case r.busy():
		return channel.Result{Outcome: channel.TryLater, Detail: "the mailbox gets too much mail at the moment", RetryAfter: long}
	case r.says("greylist", "graylist", "grey-list", "greylisted"):
		return channel.Result{Outcome: channel.TryLater, Detail: "the server wants to be asked again (greylisting)", RetryAfter: later}
	case at >= recipient && (r.is(2) || r.is(1) && !r.is(1, 7, 8)):
		return channel.Result{Outcome: channel.Refused, Detail: "the mailbox does not take mail at the moment", Soft: true}
	case at == report:
		return channel.Result{Outcome: channel.Refused, Detail: "the mail could not be delivered in time", Soft: true}
	}
	res := channel.Result{Outcome: channel.TryLater, Detail: "the SMTP server does not take the mail now", RetryAfter: soon}
	res.Throttled = at <= sender || r.code == 421 || r.code == 451 || r.code == 454 || r.is(7) || r.is(3) || r.is(5, 3)
	return res
}

// never judges a definite refusal that is about this one message.
func (r reply) never(at stage) channel.Result {
	switch {
	case r.is(7, 28):
		return channel.Result{Outcome: channel.TryLater, Detail: "the mailbox provider gets too much of this mail", Throttled: true, RetryAfter: time.Hour}
	case r.full():
		return channel.Result{Outcome: channel.Refused, Detail: "the mailbox is full", Soft: true}
	case r.busy():
		return channel.Result{Outcome: channel.Refused, Detail: "the mailbox gets too much mail at the moment", Soft: true}
	case r.nobody(at):
		return channel.Result{Outcome: channel.Gone, Detail: "there is no such mailbox"}
	case r.is(7), r.is(6), r.is(5), r.is(3):
		return refused("the mail is refused by policy")
	case r.is(2), r.is(4), at == recipient, at == report:
		return channel.Result{Outcome: channel.Refused, Detail: "the mail could not be delivered", Soft: true}
	}
	return refused("the SMTP server refuses this mail")
}

// nobody: the address does not exist, or never will take mail.
func (r reply) nobody(at stage) bool {
	switch {
	case r.is(1):
		return !r.is(1, 7, 8)
	case r.is(2, 1), r.is(7, 17, 18), r.is(4, 4):
		return true
	case r.is(4, 1):
		return r.says("recipient address rejected") // Exchange's word for an unknown user
	case r.class != 0 || at < recipient:
		return false
	}
	return r.code == 551 || r.code == 553 || r.code == 556 || r.says("user unknown", "unknown user", "no such user", "no mailbox here",
		"does not exist", "doesn't exist", "invalid recipient", "recipient not found", "mailbox not found", "no such recipient", "unknown recipient", "mailbox unavailable", "user doesn't have a")
}

func stopped(detail string) channel.Result {
	return channel.Result{Outcome: channel.StopTheLine, Detail: detail}
}

func refused(detail string) channel.Result {
	return channel.Result{Outcome: channel.Refused, Detail: detail}
}
