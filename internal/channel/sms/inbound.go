package sms

import (
	"net/url"
	"path"
	"strconv"
	"strings"

	"beckon/internal/channel"
	"beckon/internal/fault"
)

// InboundPath is where Twilio tells of texts from people, below the public address.
const InboundPath = "/webhooks/twilio/inbound"

// inbound reports whether a callback tells of a text from a person.
func inbound(cb channel.Callback) bool {
	u, err := url.Parse(cb.URL)
	return err == nil && path.Base(u.Path) == path.Base(InboundPath)
}

// heard reads a text from a person: EventStop, EventStart and EventHelp when the
// whole of it is one of the words for that, else EventMessage. Twilio does not say
// when it was written.
func (r *Receiver) heard(form url.Values) (channel.Event, error) {
	e := channel.Event{Kind: channel.EventOther}
	from, sms := number(readable(form.Get("From")))
	sid := readable(form.Get("MessageSid"))
	switch {
	case form.Get("MessageStatus") != "" || !sms: // a status that went astray, or another channel of Twilio's
		return e, nil
	case from == "" || sid == "" || len(sid) > longestSID:
		return e, fault.New(fault.Malformed, "unreadable_event", "The form is not a text from a person.")
	}
	e.Address, e.MID, e.Text = from, sid, readable(form.Get("Body"))
	e.Attachments, _ = strconv.Atoi(form.Get("NumMedia"))
	e.Attachments = min(max(e.Attachments, 0), mostAttachments)
	e.Kind = r.wish(form.Get("OptOutType"), e.Text)
	switch {
	case e.Kind == channel.EventHelp && form.Get("OptOutType") != "":
		e.Status = channel.StatusAnswered
	case e.Kind == channel.EventMessage && r.words.revokes(e.Text):
		e.Status = channel.StatusReview
	case e.Kind == channel.EventStop, e.Kind == channel.EventStart:
		e.Reason = channel.ByStop
	}
	return e, nil
}

// Bounds of what Twilio sends: a message has up to ten attachments, and an id of
// 34 characters.
const (
	mostAttachments = 10
	longestSID      = 100
)

// number is the phone behind a From, and whether the text concerns SMS. RCS
// reaches the same phone by the same sender; WhatsApp and Messenger do not.
func number(from string) (string, bool) {
	channelName, rest, other := strings.Cut(from, ":")
	if !other {
		return from, true
	}
	return rest, channelName == "rcs"
}

// readable is a text as it may be kept: UTF-8, without the NUL that PostgreSQL
// refuses.
func readable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "")
}

// wish trusts Twilio's own reading where it gives one (Advanced Opt-Out): its
// words are the operator's. Else the whole text is looked up.
func (r *Receiver) wish(optOutType, text string) channel.EventKind {
	switch optOutType {
	case "STOP":
		return channel.EventStop
	case "START":
		return channel.EventStart
	case "HELP":
		return channel.EventHelp
	}
	return r.words.wish(text)
}
