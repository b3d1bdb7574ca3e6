package messenger

import (
	"encoding/json"

	"beckon/internal/channel"
)

// change reads an event of a field of the Page.
func (e *entry) change(raw json.RawMessage) (channel.Event, bool) {
	var in struct {
		Field word            `json:"field"`
		Value json.RawMessage `json:"value"`
	}
	if isNull(raw) || json.Unmarshal(raw, &in) != nil {
		return channel.Event{}, false
	}
	ev := channel.Event{Kind: channel.EventOther, Page: e.page, At: e.at}
	var ok bool
	switch in.Field {
	case "message_template_status_update", "messenger_template_status_update": // Meta's pages have both
		ok = template(&ev, in.Value)
	case "messaging_optouts":
		ev, ok = e.optOut(in.Value)
	}
	if !ok {
		ev = channel.Event{Kind: channel.EventOther, Page: e.page, At: e.at, Raw: raw}
	}
	return ev, true
}

func template(e *channel.Event, raw json.RawMessage) bool {
	var in struct {
		Event    word `json:"event"`
		Name     word `json:"message_template_name"`
		Language word `json:"message_template_language"`
		Reason   word `json:"reason"`
	}
	if len(raw) == 0 || json.Unmarshal(raw, &in) != nil || in.Event == "" {
		return false
	}
	e.Kind, e.Status, e.Template, e.Language, e.Reason = channel.EventTemplate, in.Event.simple(), string(in.Name), string(in.Language), string(in.Reason)
	if in.Reason.simple() == "none" {
		e.Reason = ""
	}
	return true
}

// optOut reads an item that stands in a change, its permission in a part of its
// own or not.
func (e *entry) optOut(raw json.RawMessage) (channel.Event, bool) {
	var flat optIn
	it, ok := readItem(raw)
	if len(raw) == 0 || !ok || it.Sender.ID == "" || json.Unmarshal(raw, &flat) != nil {
		return channel.Event{}, false
	}
	for _, part := range []*optIn{it.OptOut, it.OptIn, &flat} {
		if part != nil {
			it.OptOut, it.OptIn = part, nil
			break
		}
	}
	return it.event(e, raw), true
}
