package messenger

import (
	"encoding/json"
	"time"

	"beckon/internal/channel"
)

// entry is what the events of one entry of a body share.
type entry struct {
	page string // Graph id
	at   time.Time
}

type party struct {
	ID word `json:"id"`
}

// item is one element of messaging or standby: the parts that mean something.
type item struct {
	Sender    party        `json:"sender"`
	Recipient party        `json:"recipient"`
	Timestamp moment       `json:"timestamp"`
	Message   *message     `json:"message"`
	Postback  *postback    `json:"postback"`
	OptIn     *optIn       `json:"optin"`
	OptOut    *optIn       `json:"optout"`
	Reaction  *reaction    `json:"reaction"`
	Referral  *referral    `json:"referral"`
	Delivery  *receipt     `json:"delivery"`
	Read      *receipt     `json:"read"`
	Policy    *policy      `json:"policy_enforcement"`
	Pass      *handover    `json:"pass_thread_control"`
	Take      *handover    `json:"take_thread_control"`
	Request   *handover    `json:"request_thread_control"`
	Roles     map[word]any `json:"app_roles"`
}

func readItem(raw json.RawMessage) (it item, ok bool) {
	return it, !isNull(raw) && json.Unmarshal(raw, &it) == nil
}

// event turns an item into what it means. What nobody knows keeps its bytes.
func (it *item) event(in *entry, raw json.RawMessage) channel.Event {
	e := channel.Event{Kind: channel.EventOther, Page: in.page, PSID: string(it.Sender.ID), At: it.Timestamp.Time}
	if e.At.IsZero() {
		e.At = in.at
	}
	if !it.fromThread(&e) && !it.aboutThread(&e) {
		e.Raw = raw
	}
	if e.PSID == e.Page {
		e.PSID = "" // the Page itself: nobody's contact
	}
	return e
}

// fromThread reads what people and the Page say and do to each other, and what
// became of it. It reports whether the item is anything of the kind.
func (it *item) fromThread(e *channel.Event) bool {
	switch {
	case it.Message != nil && it.Message.IsEcho:
		it.Message.echo(e, it.Recipient.ID)
	case it.Message != nil:
		it.Message.fill(e, it.Referral)
	case it.Postback != nil:
		it.Postback.fill(e)
	case it.Reaction != nil:
		it.Reaction.fill(e)
	case it.Referral != nil:
		e.Kind, e.Ref = channel.EventReferral, string(it.Referral.Ref)
	case it.Delivery != nil:
		it.Delivery.fill(e, channel.EventDelivered)
	case it.Read != nil:
		it.Read.fill(e, channel.EventRead)
	default:
		return false
	}
	return true
}

// aboutThread reads what is settled beside the conversation: permissions, Meta's
// word about the Page, and whose the thread is. It reports whether the item is
// anything of the kind, in a form that is known.
func (it *item) aboutThread(e *channel.Event) bool {
	switch {
	case it.OptIn != nil:
		return it.OptIn.fill(e)
	case it.OptOut != nil:
		it.OptOut.end(e)
	case it.Policy != nil:
		return it.Policy.fill(e)
	case it.Pass != nil:
		it.Pass.fill(e, channel.StatusPass)
	case it.Take != nil:
		it.Take.fill(e, channel.StatusTake)
	case it.Request != nil:
		it.Request.fill(e, channel.StatusRequest)
	case it.Roles != nil:
		roles(e, it.Roles)
	default:
		return false
	}
	return true
}
