package content

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"beckon/internal/channel"
	"beckon/internal/fault"
)

// Question asks a person in Messenger for an address to be contacted at. Its
// texts are plain, no templates: what was asked is kept as evidence.
type Question struct {
	Channel channel.Kind `json:"channel"`                // channel.Email or channel.SMS
	Text    string       `json:"text"`                   // the question
	Consent string       `json:"consent_text"`           // what the person agrees to by answering
	Decline string       `json:"decline_text,omitempty"` // the button that says no; "" is DeclineText
	Again   string       `json:"again_text,omitempty"`   // to an answer that is no address; "" is AgainText
	Thanks  string       `json:"thanks_text,omitempty"`  // to an answer that is one; "" is ThanksText
}

// The texts of a Question that leaves its own out.
const (
	DeclineText = "No, thank you"
	AgainText   = "That does not look right. Could you send it once more?"
	ThanksText  = "Thank you, noted."
)

// Check returns what is wrong with the question; pointers begin with at.
func (q Question) Check(at string) []fault.Field {
	var bad []fault.Field
	add := func(name, code, detail string) {
		bad = append(bad, fault.Field{Pointer: at + "/" + name, Code: code, Detail: detail})
	}
	if q.Channel != channel.Email && q.Channel != channel.SMS {
		add("channel", "not_allowed", "Must be email or sms.")
	}
	for _, part := range []struct {
		name, text string
		needed     bool
	}{{"text", q.Text, true}, {"consent_text", q.Consent, true}, {"again_text", q.Again, false}, {"thanks_text", q.Thanks, false}} {
		switch {
		case part.needed && strings.TrimSpace(part.text) == "":
			add(part.name, "required", "Must say something.")
		case utf8.RuneCountInString(part.text) > maxQuestion:
			add(part.name, "too_long", "Must have at most 900 characters.")
		}
	}
	if utf8.RuneCountInString(q.Decline) > MaxTitle {
		add("decline_text", "too_long", "Must have at most 20 characters.")
	}
	return bad
}

// maxQuestion leaves room for both parts in one message, and in the evidence of
// a consent.
const maxQuestion = 900

// Asked is what the person reads: the question and what they agree to.
func (q Question) Asked() string {
	return strings.TrimSpace(q.Text) + "\n\n" + strings.TrimSpace(q.Consent)
}

type chip struct {
	Type    string `json:"content_type"`
	Title   string `json:"title,omitempty"`
	Payload string `json:"payload,omitempty"`
}

// Message is the question as the "message" object: with the person's own address
// to tap, where their profile has one, and a button that says no, whose payload
// is decline.
func (q Question) Message(decline string) []byte { return q.ask(q.Asked(), decline) }

// Repeat is what is sent when the answer was no address.
func (q Question) Repeat(decline string) []byte { return q.ask(or(q.Again, AgainText), decline) }

// Received is what is sent when the answer was an address.
func (q Question) Received() []byte { return worded(or(q.Thanks, ThanksText), nil) }

func (q Question) ask(text, decline string) []byte {
	kind := "user_email"
	if q.Channel == channel.SMS {
		kind = "user_phone_number"
	}
	return worded(text, []chip{{Type: kind}, {Type: "text", Title: or(q.Decline, DeclineText), Payload: decline}})
}

func worded(text string, chips []chip) []byte {
	out, _ := json.Marshal(struct { // texts cannot fail
		Text         string `json:"text"`
		QuickReplies []chip `json:"quick_replies,omitempty"`
	}{text, chips})
	return out
}

func or(text, fallback string) string {
	if text = strings.TrimSpace(text); text == "" {
		return fallback
	}
	return text
}
