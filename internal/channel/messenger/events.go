package messenger

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"beckon/internal/channel"
	"beckon/internal/fault"
)

// Events reads a webhook body. An entry or an event that cannot be read is
// left out and named by its place in the error; the others are returned.
func (r *Receiver) Events(cb channel.Callback) ([]channel.Event, error) {
	var envelope struct {
		Object string            `json:"object"`
		Entry  []json.RawMessage `json:"entry"`
	}
	if json.Unmarshal(cb.Body, &envelope) != nil {
		return nil, unreadable("the body")
	}
	if envelope.Object != "page" {
		return []channel.Event{{Kind: channel.EventOther}}, nil
	}
	var events []channel.Event
	var errs []error
	for i, raw := range envelope.Entry {
		found, err := readEntry(raw, "entry "+strconv.Itoa(i))
		events, errs = append(events, found...), append(errs, err)
	}
	return events, errors.Join(errs...)
}

// unreadable names a place only: what stands there may be about a person.
func unreadable(place string) error {
	return fault.New(fault.Malformed, "unreadable_event", "Cannot read %s.", place)
}

func readEntry(raw json.RawMessage, place string) ([]channel.Event, error) {
	var entry struct {
		ID        string            `json:"id"`
		Time      json.Number       `json:"time"`
		Messaging []json.RawMessage `json:"messaging"`
		Standby   []json.RawMessage `json:"standby"`
		Changes   []json.RawMessage `json:"changes"`
	}
	if json.Unmarshal(raw, &entry) != nil {
		return nil, unreadable(place)
	}
	var events []channel.Event
	var errs []error
	for i, raw := range append(entry.Messaging, entry.Standby...) {
		var it item
		if json.Unmarshal(raw, &it) != nil {
			errs = append(errs, unreadable(place+", event "+strconv.Itoa(i)))
			continue
		}
		e := it.event(entry.ID, entry.Time)
		if i >= len(entry.Messaging) {
			// Another app holds the thread: what is said there opens nothing for us.
			e = channel.Event{Kind: channel.EventOther, Page: e.Page, PSID: e.PSID, At: e.At}
		}
		events = append(events, e)
	}
	for range entry.Changes {
		events = append(events, channel.Event{Kind: channel.EventOther, Page: entry.ID, At: moment(entry.Time)})
	}
	return events, errors.Join(errs...)
}

// moment reads a time as Meta writes it: milliseconds mostly, seconds at times.
func moment(n json.Number) time.Time {
	v, err := n.Float64()
	switch {
	case err != nil || v <= 0 || v > 1e15:
		return time.Time{}
	case v < 1e12:
		return time.Unix(int64(v), 0).UTC()
	}
	return time.UnixMilli(int64(v)).UTC()
}

type party struct {
	ID string `json:"id"`
}

type referral struct {
	Ref string `json:"ref"`
}

// item is one element of messaging[]: the parts that mean something here.
type item struct {
	Sender    party       `json:"sender"`
	Recipient party       `json:"recipient"`
	Timestamp json.Number `json:"timestamp"`
	Message   *message    `json:"message"`
	Postback  *postback   `json:"postback"`
	OptIn     *optIn      `json:"optin"`
	Reaction  *reaction   `json:"reaction"`
	Referral  *referral   `json:"referral"`
	Delivery  *receipt    `json:"delivery"`
	Read      *receipt    `json:"read"`
}

type message struct {
	MID        string    `json:"mid"`
	Text       string    `json:"text"`
	IsEcho     bool      `json:"is_echo"`
	Metadata   string    `json:"metadata"`
	Referral   *referral `json:"referral"`
	QuickReply struct {
		Payload string `json:"payload"`
	} `json:"quick_reply"`
}

type postback struct {
	MID      string    `json:"mid"`
	Payload  string    `json:"payload"`
	Referral *referral `json:"referral"`
}

type optIn struct {
	Type         string `json:"type"`
	Payload      string `json:"payload"`
	Ref          string `json:"ref"`
	OneTimeToken string `json:"one_time_notif_token"`
	Recurring    string `json:"notification_messages_token"`
	Status       string `json:"notification_messages_status"`
}

type reaction struct {
	MID    string `json:"mid"`
	Action string `json:"action"`
}

type receipt struct {
	MIDs      []string    `json:"mids"`
	Watermark json.Number `json:"watermark"`
}

func (it *item) event(page string, entryTime json.Number) channel.Event {
	e := channel.Event{Kind: channel.EventOther, Page: page, PSID: it.Sender.ID, At: moment(it.Timestamp)}
	if e.At.IsZero() {
		e.At = moment(entryTime)
	}
	switch {
	case it.Message != nil && it.Message.IsEcho:
		it.Message.echo(&e, it.Recipient.ID)
	case it.Message != nil:
		it.Message.fill(&e, it.Referral)
	case it.Postback != nil:
		it.Postback.fill(&e)
	case it.OptIn != nil:
		it.OptIn.fill(&e)
	case it.Reaction != nil:
		it.Reaction.fill(&e)
	case it.Referral != nil:
		e.Kind, e.Ref = channel.EventReferral, it.Referral.Ref
	case it.Delivery != nil:
		it.Delivery.fill(&e, channel.EventDelivered)
	case it.Read != nil:
		it.Read.fill(&e, channel.EventRead)
	}
	return e
}

// echo is a message that the Page sent: the person is its recipient.
func (m *message) echo(e *channel.Event, person string) {
	e.Kind, e.PSID, e.ProviderIDs = channel.EventEcho, person, named(m.MID)
	if mark, found := strings.CutPrefix(m.Metadata, metadataPrefix); found {
		e.Mark = mark
	}
}

func (m *message) fill(e *channel.Event, beside *referral) {
	e.Kind, e.MID, e.Text, e.Payload = channel.EventMessage, m.MID, m.Text, m.QuickReply.Payload
	for _, r := range []*referral{m.Referral, beside} {
		if r != nil {
			e.Ref = r.Ref
		}
	}
}

func (p *postback) fill(e *channel.Event) {
	e.Kind, e.MID, e.Payload = channel.EventPostback, p.MID, p.Payload
	if p.Referral != nil {
		e.Ref = p.Referral.Ref
	}
}

// fill tells a grant from a person who stops or resumes recurring messages:
// these have the status behind the type, for example
// "notification_messages/stop_notifications", and carry the same token.
func (o *optIn) fill(e *channel.Event) {
	e.Kind, e.OptInType, e.Payload, e.Ref = channel.EventOptIn, o.Type, o.Payload, o.Ref
	e.Token = o.OneTimeToken
	if e.Token == "" {
		e.Token = o.Recurring
	}
	if o.Status != "" {
		e.OptInType += "/" + strings.ToLower(strings.ReplaceAll(o.Status, " ", "_"))
	}
}

// fill leaves a reaction that is taken back without effect.
func (r *reaction) fill(e *channel.Event) {
	e.ProviderIDs = named(r.MID)
	if r.Action != "unreact" {
		e.Kind = channel.EventReaction
	}
}

func (r *receipt) fill(e *channel.Event, kind channel.EventKind) {
	e.Kind, e.ProviderIDs, e.Watermark = kind, r.MIDs, moment(r.Watermark)
}

func named(mid string) []string {
	if mid == "" {
		return nil
	}
	return []string{mid}
}
