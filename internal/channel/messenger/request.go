package messenger

import (
	"bytes"
	"encoding/json"
	"errors"

	"beckon/internal/channel"
)

// metadataPrefix stands before a mark: other apps write metadata too.
const metadataPrefix = "bk:"

// Errors of a message that cannot be written down. They hold no part of it.
var (
	errNoPerson = errors.New("the message names no person")
	errNoToken  = errors.New("the message carries no token")
	errNoObject = errors.New("the message is not a JSON object")
	errLane     = errors.New("the lane is not one of Messenger")
)

// request writes the body of a Send API call.
func request(lane channel.Lane, m *channel.Message, answer bool) ([]byte, error) {
	to, kind, err := recipient(lane, m)
	if err != nil {
		return nil, err
	}
	if answer && lane == channel.Window {
		kind = "RESPONSE"
	}
	msg := bytes.TrimSpace(m.Body)
	if len(msg) < 2 || msg[0] != '{' || !json.Valid(msg) {
		return nil, errNoObject
	}
	b := make([]byte, 0, len(msg)+len(m.To)+len(m.Token)+len(m.Mark)+128)
	b = append(b, `{"recipient":{`...)
	b = append(appendString(append(b, to.key...), to.value), '}')
	if kind != "" {
		b = append(append(append(b, `,"messaging_type":"`...), kind...), '"')
	}
	if m.Quiet != "" {
		b = appendString(append(b, `,"notification_type":`...), m.Quiet)
	}
	b = append(b, `,"message":`...)
	return append(appendMessage(b, msg, m.Mark), '}'), nil
}

type addressee struct{ key, value string }

// recipient says to whom a lane sends and as what. A token is never replaced
// by the person: that would go out only inside the window, and spend nothing.
func recipient(lane channel.Lane, m *channel.Message) (to addressee, messagingType string, err error) {
	var missing error
	switch lane {
	case channel.Window:
		to, messagingType, missing = addressee{`"id":`, m.To}, "UPDATE", errNoPerson
	case channel.Utility:
		to, messagingType, missing = addressee{`"id":`, m.To}, "UTILITY", errNoPerson
	case channel.OneTime:
		to, missing = addressee{`"one_time_notif_token":`, m.Token}, errNoToken
	case channel.Recurring:
		to, missing = addressee{`"notification_messages_token":`, m.Token}, errNoToken
	default:
		return to, "", errLane
	}
	if to.value == "" {
		return to, "", missing
	}
	return to, messagingType, nil
}

// appendMessage adds the message object with the mark as metadata, as its last
// member, so that it wins over one that the object may already have.
func appendMessage(b, object []byte, mark string) []byte {
	members := bytes.TrimSpace(object[1 : len(object)-1])
	b = append(b, '{')
	if len(members) > 0 {
		b = append(append(b, members...), ',')
	}
	b = append(b, `"metadata":`...)
	return append(appendString(b, metadataPrefix+mark), '}')
}

// appendString adds s as a JSON string. Ids and tokens are plain characters.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string cannot fail
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// The templates that ask for a permission.
const (
	askOnce  = "one_time_notif_req"
	askAgain = "notification_messages"
)

// optInRequest writes the call that shows the "Notify Me" button, or that of
// recurring messages.
func optInRequest(template, psid, title, payload string) []byte {
	b := appendString([]byte(`{"recipient":{"id":`), psid)
	b = append(b, `},"messaging_type":"RESPONSE","message":{"attachment":{"type":"template","payload":{"template_type":`...)
	b = append(appendString(b, template), `,"title":`...)
	b = append(appendString(b, title), `,"payload":`...)
	return append(appendString(b, payload), `}}}}`...)
}
