package sendgrid

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"beckon/internal/channel"
)

// notice is the part of an event that means something here. Its reason may
// quote an address and goes no further than its beginning.
type notice struct {
	event, email, messageID, smtpID, mark string
	kind                                  string // "type": of a bounce
	status, reason, class                 string
	at                                    time.Time
}

// readNotice reads one event. Custom args stand beside SendGrid's own fields,
// those of other programs too, so a name counts only as it is spelled, and a
// value of another type than expected is as good as none.
func readNotice(raw json.RawMessage) (notice, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return notice{}, err
	}
	n := notice{
		event: text(fields["event"]), email: text(fields["email"]), messageID: text(fields["sg_message_id"]), smtpID: text(fields["smtp-id"]),
		mark: text(fields[markArg]), kind: text(fields["type"]), status: text(fields["status"]), reason: strings.ToLower(text(fields["reason"])),
		class: strings.ToLower(text(fields["bounce_classification"])), at: seconds(fields["timestamp"]),
	}
	if n.event == "" {
		return n, errors.New("it does not say what happened")
	}
	return n, nil
}

// text reads a JSON text; anything else is "", and so is what no database keeps.
func text(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s)
	if len(s) > longest || strings.ContainsRune(s, 0) {
		return ""
	}
	return s
}

// longest is more than any field has that is read: an address, an id, why a mail was dropped.
const longest = 1000

// seconds reads a Unix time, as a number or as a text; anything else is no time.
func seconds(raw json.RawMessage) time.Time {
	var number json.Number // takes a text with a number in it too
	_ = json.Unmarshal(raw, &number)
	s, err := strconv.ParseFloat(number.String(), 64)
	if err != nil || s < 1 || s > lastSecond {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

// lastSecond is the end of the year 9999, the last one that can be stored.
const lastSecond = 253402300799

// events says what a notice means: mostly one thing, and of an open or a click
// nothing. A drop for an opt-out is two: this mail failed, and the person wants no
// more.
func (n *notice) events() []channel.Event {
	switch n.event {
	case "processed":
		return n.as(channel.EventAccepted)
	case "delivered":
		return n.as(channel.EventDelivered)
	case "deferred":
		return n.as(channel.EventDeferred)
	case "bounce":
		return n.bounce()
	case "dropped":
		return n.drop()
	case "unsubscribe", "group_unsubscribe":
		return n.refusal(channel.EventStop, channel.ByUnsubscribe)
	case "group_resubscribe":
		return n.refusal(channel.EventStart, channel.ByUnsubscribe)
	case "spamreport":
		return n.refusal(channel.EventStop, channel.ByComplaint)
	case "open", "click":
		return nil // scanners do both: they say nothing about a person
	}
	return n.as(channel.EventOther) // account_status_change among them
}

// about is an event of no kind yet. A mail that SendGrid does not name by our
// argument is known by the Message-ID we gave it.
func (n *notice) about() channel.Event {
	e := channel.Event{Mark: n.mark, Address: n.email, At: n.at}
	if e.Mark == "" {
		e.Mark, _, _ = strings.Cut(strings.TrimPrefix(n.smtpID, "<"), "@")
	}
	if n.messageID != "" {
		e.ProviderIDs = []string{n.messageID}
	}
	return e
}

func (n *notice) as(kind channel.EventKind) []channel.Event {
	e := n.about()
	e.Kind = kind
	return []channel.Event{e}
}

func (n *notice) refusal(kind channel.EventKind, how string) []channel.Event {
	e := n.about()
	e.Kind, e.Reason = kind, how
	return []channel.Event{e}
}

func (n *notice) failed(outcome channel.Outcome, code string, soft bool) []channel.Event {
	e := n.about()
	e.Kind, e.Outcome, e.Code, e.Soft = channel.EventFailed, outcome, code, soft
	return []channel.Event{e}
}

// bounce tells an address that does not exist from one that did not work this
// time, and both from a mail that was turned away for its sender or its text.
func (n *notice) bounce() []channel.Event {
	code, hard := "bounce", true
	if n.kind == "blocked" || n.kind == "expired" {
		code, hard = n.kind, false
	}
	if status := enhanced(n.status); status != "" {
		code += "/" + status
	}
	if hard {
		return n.failed(channel.Gone, code, false)
	}
	return n.failed(channel.Refused, code, !n.ours())
}

// ours reports whether a bounce blames what we sent, or where we sent it from. It
// says nothing about the address: counted, one bad campaign would silence
// everybody at a large mailbox provider (RFC 3463: x.6 and x.7 are the text and
// policy; the classes are SendGrid's).
func (n *notice) ours() bool {
	switch n.class {
	case "content", "reputation", "frequency/volume", "frequency or volume too high":
		return true
	case "", "unclassified":
		_, subject, _ := strings.Cut(enhanced(n.status), ".")
		return strings.HasPrefix(subject, "6.") || strings.HasPrefix(subject, "7.")
	}
	return false
}

// enhanced is a status code as of RFC 3463, or "" where something else, which may
// quote an address, stands in its place.
func enhanced(status string) string {
	if len(status) > len("5.999.999") || strings.Trim(status, "0123456789.") != "" {
		return ""
	}
	return status
}

// drop reads why SendGrid did not even try: it remembers the address from before.
func (n *notice) drop() []channel.Event {
	for _, why := range []struct {
		reason  string
		outcome channel.Outcome
		code    string
		how     string // how the person refused
	}{
		{"bounced address", channel.Gone, "dropped/bounced", ""},
		{"unsubscribed address", channel.OptedOut, "dropped/unsubscribed", channel.ByUnsubscribe},
		{"spam reporting address", channel.OptedOut, "dropped/spam_report", channel.ByComplaint},
		{"spam content", channel.Refused, "dropped/spam_content", ""},
		{"invalid smtpapi", channel.Refused, "dropped/header", ""},
		{"invalid", channel.Gone, "dropped/invalid", ""},
		{"recipient list over", channel.StopTheLine, "dropped/quota", ""},
	} {
		if strings.HasPrefix(n.reason, why.reason) {
			return n.dropped(why.outcome, why.code, why.how)
		}
	}
	return n.failed(channel.Refused, "dropped", false)
}

// dropped is the end of a mail and, where the person once refused, that refusal. It
// was about another mail, so it does not name this one.
func (n *notice) dropped(outcome channel.Outcome, code, how string) []channel.Event {
	events := n.failed(outcome, code, false)
	if how == "" {
		return events
	}
	events[0].Reason = how
	return append(events, channel.Event{Kind: channel.EventStop, Reason: how, Address: n.email, At: n.at})
}
