package messenger

import (
	"encoding/json"
	"errors"
	"strconv"

	"beckon/internal/channel"
	"beckon/internal/fault"
)

// Events reads a webhook body. A part that cannot be read is left out and named
// by its place in the error; the others are returned. What Meta may send and
// nobody knows yet comes back as EventOther with its bytes.
func (r *Receiver) Events(cb channel.Callback) ([]channel.Event, error) {
	var envelope struct {
		Object word            `json:"object"`
		Entry  json.RawMessage `json:"entry"`
	}
	if json.Unmarshal(cb.Body, &envelope) != nil {
		return nil, unreadable("the body")
	}
	if envelope.Object != "page" {
		// Not asked for, and it may hold what people write elsewhere: only what it is of is kept.
		raw, _ := json.Marshal(map[string]word{"object": envelope.Object})
		return []channel.Event{{Kind: channel.EventOther, Raw: raw}}, nil
	}
	var b body
	for i, raw := range b.list(envelope.Entry, "the entries") {
		b.entry(raw, "entry "+strconv.Itoa(i))
	}
	return b.events, errors.Join(b.errs...)
}

// body is what has been read of a webhook body so far.
type body struct {
	events []channel.Event
	errs   []error
}

// cannotRead names a place only: what stands there may be about a person.
func (b *body) cannotRead(place string) { b.errs = append(b.errs, unreadable(place)) }

func unreadable(place string) error {
	return fault.New(fault.Malformed, "unreadable_event", "Cannot read %s.", place)
}

// list reads what is to be an array; one that is not there is empty.
func (b *body) list(raw json.RawMessage, place string) (out []json.RawMessage) {
	if len(raw) > 0 && json.Unmarshal(raw, &out) != nil {
		b.cannotRead(place)
		return nil
	}
	return out
}

func (b *body) entry(raw json.RawMessage, place string) {
	var in struct {
		ID        word            `json:"id"`
		Time      json.RawMessage `json:"time"`
		Messaging json.RawMessage `json:"messaging"`
		Standby   json.RawMessage `json:"standby"`
		Changes   json.RawMessage `json:"changes"`
	}
	if isNull(raw) || json.Unmarshal(raw, &in) != nil {
		b.cannotRead(place)
		return
	}
	e := entry{page: string(in.ID), at: momentOf(in.Time)}
	for _, part := range []struct {
		name string
		in   json.RawMessage
		read func(json.RawMessage) (channel.Event, bool)
	}{{"event", in.Messaging, e.messaging}, {"standby event", in.Standby, e.standby}, {"change", in.Changes, e.change}} {
		for i, raw := range b.list(part.in, place+", "+part.name+"s") {
			if ev, ok := part.read(raw); ok {
				b.events = append(b.events, ev)
			} else {
				b.cannotRead(place + ", " + part.name + " " + strconv.Itoa(i))
			}
		}
	}
}

// messaging reads what happened in a thread that is ours.
func (e *entry) messaging(raw json.RawMessage) (channel.Event, bool) {
	it, ok := readItem(raw)
	if !ok {
		return channel.Event{}, false
	}
	return it.event(e, raw), true
}

// standby reads what happened while another app holds the thread: nothing of
// it opens anything for us. What it proves of our own messages stays proof: an
// echo with our mark, a delivery, a reading.
func (e *entry) standby(raw json.RawMessage) (channel.Event, bool) {
	it, ok := readItem(raw)
	if !ok {
		return channel.Event{}, false
	}
	ev := it.event(e, raw)
	switch {
	case ev.Kind == channel.EventDelivered, ev.Kind == channel.EventRead, ev.Kind == channel.EventEcho && ev.Mark != "":
		return ev, true
	}
	return channel.Event{Kind: channel.EventStandby, Page: ev.Page, PSID: ev.PSID, At: ev.At,
		ProviderIDs: ev.ProviderIDs, MID: ev.MID, Text: ev.Text, Ref: ev.Ref, App: ev.App}, true
}
