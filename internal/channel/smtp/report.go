package smtp

import (
	"net/textproto"
	"regexp"
	"strconv"
	"strings"

	"beckon/internal/channel"
)

var (
	anyAddress = regexp.MustCompile(`[A-Za-z0-9!#$%&'*+/=?^_{|}~.-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`)
	replyCode  = regexp.MustCompile(`\b([45]\d\d)[ -]`)
	atStart    = regexp.MustCompile(`^(?:x-)?(?:smtp|esmtp)[a-z-]*\s*;\s*([245]\d\d)\b`)
)

// event is what the message tells, but for whom and when.
func (in *inbound) event() channel.Event {
	switch {
	case in.feedback != nil:
		return in.complaint()
	case in.report:
		return in.told()
	case !in.fromServer() && (in.automatic() || !in.unanswerable()):
		return channel.Event{Kind: channel.EventOther}
	}
	return failure(wordsReply(in.text.String()))
}

// complaint reads why somebody's mailbox provider writes (RFC 5965 §3.1). Reports
// about signatures and viruses are nobody's wish.
func (in *inbound) complaint() channel.Event {
	switch strings.ToLower(in.feedback.Get("Feedback-Type")) {
	case "abuse", "fraud", "other", "":
		return channel.Event{Kind: channel.EventStop, Reason: channel.ByComplaint}
	case "opt-out", "opt-out-list":
		return channel.Event{Kind: channel.EventStop, Reason: channel.ByUnsubscribe}
	}
	return channel.Event{Kind: channel.EventOther}
}

// told reads a report. A message of ours has one recipient: where a report knows
// several, an address that leads on to others, one who got it is enough.
func (in *inbound) told() channel.Event {
	best := channel.Event{Kind: channel.EventOther}
	for _, s := range in.status {
		if ev := recipientEvent(s); rank(ev.Kind) > rank(best.Kind) {
			best = ev
		}
	}
	return best
}

func rank(k channel.EventKind) int {
	switch k {
	case channel.EventDelivered:
		return 3
	case channel.EventFailed:
		return 2
	case channel.EventDeferred:
		return 1
	}
	return 0
}

func recipientEvent(s textproto.MIMEHeader) channel.Event {
	action, _, _ := strings.Cut(strings.ToLower(s.Get("Action")), " ")
	switch action {
	case "delivered":
		return channel.Event{Kind: channel.EventDelivered}
	case "delayed":
		return channel.Event{Kind: channel.EventDeferred}
	case "failed":
		return failure(statusReply(s.Get("Status"), s.Get("Diagnostic-Code")))
	}
	return channel.Event{Kind: channel.EventOther} // relayed and expanded: the message is on its way
}

// statusReply puts together what a report says twice: the code of the server that
// refused is often more exact than the report's own.
func statusReply(status, diagnostic string) reply {
	code := 0
	if m := atStart.FindStringSubmatch(strings.ToLower(diagnostic)); m != nil {
		code, _ = strconv.Atoi(m[1])
	}
	r := newReply(code, diagnostic)
	if r.class == 0 {
		own := newReply(0, status)
		r.class, r.subject, r.detail = own.class, own.subject, own.detail
		if own.class != 0 && code/100 != own.class {
			r.code = 0
		}
	}
	return r
}

// wordsReply looks for codes in a letter that only people were meant to read.
func wordsReply(text string) reply {
	code := 0
	if m := replyCode.FindStringSubmatch(text); m != nil {
		code, _ = strconv.Atoi(m[1])
	}
	return newReply(code, text)
}

// failure is the event of a mail that did not arrive. A report never stops the
// sender or has a mail sent again: anybody may have written it.
func failure(r reply) channel.Event {
	ev := channel.Event{Kind: channel.EventFailed, Outcome: channel.Refused, Code: "bounce"}
	if name := r.name(); name != "" {
		ev.Code += "/" + name
	}
	switch res := r.result(report); res.Outcome {
	case channel.Gone:
		ev.Outcome = channel.Gone
	case channel.TryLater:
		ev.Soft = !res.Throttled
	default:
		ev.Soft = res.Soft
	}
	return ev
}

// automatic reports whether a program answers for somebody: on holiday, or with a
// ticket number (RFC 3834).
func (in *inbound) automatic() bool {
	auto := strings.ToLower(in.header.Get("Auto-Submitted"))
	return strings.HasPrefix(auto, "auto-replied") || in.header.Get("X-Autoreply") != "" || in.header.Get("X-Autorespond") != "" ||
		strings.EqualFold(in.header.Get("Precedence"), "auto_reply") || in.header.Get("X-Auto-Response-Suppress") != "" && auto == ""
}

// unanswerable reports whether nobody is to answer, as with all that servers
// write (RFC 5321 §4.5.5).
func (in *inbound) unanswerable() bool {
	return strings.TrimSpace(in.header.Get("Return-Path")) == "<>"
}

// fromServer reports whether a mail server says that it wrote the letter.
func (in *inbound) fromServer() bool {
	if in.header.Get("X-Failed-Recipients") != "" {
		return true
	}
	from := strings.ToLower(in.header.Get("From"))
	for _, name := range []string{"mailer-daemon", "postmaster", "mail-daemon", "mailerdaemon", "mail delivery s"} {
		if strings.Contains(from, name) {
			return true
		}
	}
	return false
}
