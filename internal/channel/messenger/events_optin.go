package messenger

import "beckon/internal/channel"

// optIn is a permission given, stopped or taken up again. The old form of the
// page plugin has no type.
type optIn struct {
	Type         word   `json:"type"`
	Payload      word   `json:"payload"`
	Ref          word   `json:"ref"`
	OneTimeToken word   `json:"one_time_notif_token"`
	Recurring    word   `json:"notification_messages_token"`
	Title        word   `json:"title"`
	Topic        word   `json:"notification_messages_topic"` // of an m.me/rn link
	Expires      moment `json:"token_expiry_timestamp"`
	TokenStatus  word   `json:"user_token_status"`
	Status       word   `json:"notification_messages_status"`
}

// fill reports whether the form is a known one. A stop or a resumption carries
// the token as a grant does, and is none.
func (o *optIn) fill(e *channel.Event) bool {
	switch o.Status.simple() {
	case "":
		o.put(e, channel.EventOptIn)
		e.Ref = string(o.Ref)
	case "stop_notifications":
		o.end(e)
	case "resume_notifications":
		o.put(e, channel.EventOptInEnds)
		e.Status = channel.StatusResume
	default:
		return false
	}
	return true
}

// end is a stop. No page of Meta's says what an event of the field
// messaging_optouts looks like: one without a token ends all that the person
// has.
func (o *optIn) end(e *channel.Event) {
	o.put(e, channel.EventOptInEnds)
	e.Status = channel.StatusStop
	if e.OptInType == "" {
		e.OptInType = channel.OptInRecurring
	}
}

func (o *optIn) put(e *channel.Event, kind channel.EventKind) {
	e.Kind, e.OptInType, e.Payload = kind, string(o.Type), string(o.Payload)
	e.Token, e.Title, e.Expires, e.Renewed = string(o.OneTimeToken), string(o.Title), o.Expires.Time, o.TokenStatus.simple() == "refreshed"
	if e.Token == "" {
		e.Token = string(o.Recurring)
	}
	if e.Title == "" {
		e.Title = string(o.Topic)
	}
}
